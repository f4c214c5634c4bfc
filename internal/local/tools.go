// Package local starts the real programs that Credence works with, PostgreSQL
// and OpenBao, privately on this machine: for `credence dev` and for tests. They
// listen on loopback or on a Unix socket only, hold nothing worth keeping, and
// end with the process that started them, however that ends.
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ToolsDir is the name of the directory that `make tools` fills.
const ToolsDir = ".tools"

// Tools says where the programs are.
type Tools struct {
	Dir         string // the directory that was searched
	Bao         string // the OpenBao program
	PostgresBin string // the directory of initdb, postgres and pg_dump
}

// FindTools looks for the programs in dir or, when dir is "", in the nearest
// directory named ToolsDir at or above the working directory. Its error is one
// line that names what is missing and what to do about it.
func FindTools(dir string) (Tools, error) {
	if dir == "" {
		found, err := nearestTools()
		if err != nil {
			return Tools{}, err
		}
		dir = found
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Tools{}, fmt.Errorf("find the tools: %w", err)
	}
	t := Tools{Dir: dir}
	if t.Bao, err = program(dir, "bin", "bao"); err != nil {
		return Tools{}, err
	}
	for _, name := range []string{"initdb", "postgres", "pg_dump"} {
		path, err := program(dir, "postgres", "bin", name)
		if err != nil {
			return Tools{}, err
		}
		t.PostgresBin = filepath.Dir(path)
	}
	return t, nil
}

// nearestTools walks from the working directory to the root, so that tests,
// which run in their package's directory, find the tools of the checkout.
func nearestTools() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the tools: %w", err)
	}
	for at := wd; ; at = filepath.Dir(at) {
		candidate := filepath.Join(at, ToolsDir)
		if info, err := os.Stat(candidate); err == nil && info.IsDir() {
			return candidate, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no directory %s in %s or above it: run `make tools` in the checkout", ToolsDir, wd)
		}
	}
}

// program resolves the links that `make tools` lays: PostgreSQL finds its
// libraries and templates from where its programs really are.
func program(elem ...string) (string, error) {
	path := filepath.Join(elem...)
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing: run `make tools`", path)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	if info, err := os.Stat(resolved); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is not a program: run `make clean-tools tools`", strings.TrimSpace(path))
	}
	return resolved, nil
}
