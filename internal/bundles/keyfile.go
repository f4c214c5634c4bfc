package bundles

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	keySuffix  = ".pem"
	defaultKey = "default" // the key of each scope that has none of its own
	maxKeyFile = 64 << 10
)

// listKeys are the names of the directory's keys, and its other .pem files, which
// name no environment that there can be.
func listKeys(dir string) (names, others []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list the keys: %w", err)
	}
	for _, e := range entries {
		name, isKey := strings.CutSuffix(e.Name(), keySuffix)
		switch {
		case !isKey:
		case registry.ValidName(name):
			names = append(names, name)
		default:
			others = append(others, e.Name())
		}
	}
	return names, others, nil
}

func keyPath(dir, name string) string { return filepath.Join(dir, name+keySuffix) }

func readKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, errors.New("it is too long for a key")
	}
	return ParseKey(text)
}
