package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// token is the one of admin, or of developer.
func (i devInfo) token(as string) string {
	if as == "admin" {
		return i.AdminToken
	}
	return i.DeveloperToken
}

// devSystem returns what the dev system of the working directory, or of the
// nearest directory above it that has one, left for scripts; nil without one.
func (d *developer) devSystem() (*devInfo, error) {
	dir, err := d.workingDir()
	if err != nil {
		return nil, fmt.Errorf("find the working directory: %w", err)
	}
	for {
		file := devStateIn(dir).infoFile()
		info, err := readDevInfo(file, os.Geteuid())
		switch {
		case err == nil:
			return info, nil
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return nil, err
		case filepath.Dir(dir) == dir:
			return nil, nil //nolint:nilnil // there is none
		}
		dir = filepath.Dir(dir)
	}
}

// maxDevInfo is more than any dev.json has.
const maxDevInfo = 64 << 10

// readDevInfo reads a dev.json that is the user's own and nobody else can read.
// Another's, in a directory above such as /tmp, could send the user's token to
// whom it likes.
func readDevInfo(file string, user int) (*devInfo, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return nil, fmt.Errorf("read the dev system's file: %w", err)
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the dev system's file: %w", err)
	}
	owner, ok := about.Sys().(*syscall.Stat_t)
	switch {
	case !about.Mode().IsRegular() || !ok || int64(owner.Uid) != int64(user):
		return nil, advise(fmt.Errorf("%s is not a file of yours, so it is not trusted", file),
			"Say where the server is with --server and give a token in CREDENCE_TOKEN.")
	case about.Mode().Perm()&0o077 != 0:
		return nil, advise(fmt.Errorf("%s holds tokens and others can read it", file),
			"Start the dev system again, for new tokens, or make it private: chmod 600 %s", file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDevInfo))
	if err != nil {
		return nil, fmt.Errorf("read the dev system's file: %w", err)
	}
	var info devInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return &info, nil
}
