package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// devInfo is .credence/dev.json: what a dev system leaves for scripts.
type devInfo struct {
	API            string       `json:"api"`
	Metrics        string       `json:"metrics"`
	Issuer         string       `json:"issuer"`
	TokenEndpoint  string       `json:"token_endpoint"`
	Audience       string       `json:"audience"` // of agents' tokens
	APIAudience    string       `json:"api_audience"`
	AdminToken     string       `json:"admin_token"`
	DeveloperToken string       `json:"developer_token"`
	Vault          devVaultInfo `json:"vault"`
	OPA            string       `json:"opa"`
	OPAToken       string       `json:"opa_token"` // reads the bundle of production and nothing else
	Bundles        []string     `json:"bundles"`
	Postgres       string       `json:"postgres"`
	Ready          bool         `json:"ready"`
}

type devVaultInfo struct {
	Address   string `json:"address"`
	RootToken string `json:"root_token"`
}

// devState is the directory .credence of a working directory.
type devState struct{ dir string }

func devStateIn(workingDir string) devState {
	return devState{dir: filepath.Join(workingDir, ".credence")}
}

func (s devState) infoFile() string { return filepath.Join(s.dir, "dev.json") }
func (s devState) lockFile() string { return filepath.Join(s.dir, "dev.lock") }
func (s devState) logFile() string  { return filepath.Join(s.dir, "credence.log") }
func (s devState) outFile() string  { return filepath.Join(s.dir, "dev.out") }

// prepare makes the directory, private and invisible to git (invariant D3). It
// refuses one that somebody else made: whoever owns it could read, or aim, what
// is written there.
func (s devState) prepare() error {
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the state directory: %w", err)
	}
	info, err := os.Lstat(s.dir)
	if err != nil {
		return fmt.Errorf("look at the state directory: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of yours: remove it, or work in another directory", s.dir)
	}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory private: %w", err)
	}
	ignore, err := s.create(filepath.Join(s.dir, ".gitignore"))
	if err != nil {
		return err
	}
	_, err = ignore.WriteString("*\n")
	return errors.Join(err, ignore.Close())
}

// create makes an empty file in the directory, for its owner alone. What stood in
// its place, a link among others, is removed and not written through.
func (s devState) create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the state directory: %w", err)
	}
	return f, nil
}

// acquire takes the prepared directory for this process. The lock goes with the
// process, however it ends.
func (s devState) acquire() (release func(), err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.lockFile(), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errors.New("a dev system runs in this directory already; stop it with credence dev stop")
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := errors.Join(f.Truncate(0), writeAt(f, pid), os.RemoveAll(s.infoFile())); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	return func() {
		_ = os.Remove(s.infoFile()) // its tokens are worthless now
		_ = f.Close()
	}, nil
}

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// holder reports whether a process holds the directory, and which.
func (s devState) holder() (running bool, pid int, err error) {
	f, err := os.Open(s.lockFile())
	if errors.Is(err, os.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("open the lock: %w", err)
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return false, 0, nil // nobody holds it; closing gives it back
	}
	b, err := os.ReadFile(s.lockFile())
	if err != nil {
		return true, 0, fmt.Errorf("read the lock: %w", err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return true, 0, errors.New("the lock names no process; it is being written, try again")
	}
	return true, pid, nil
}

// waitFree waits until nobody holds the directory.
func (s devState) waitFree(ctx context.Context, most time.Duration) error {
	return poll(ctx, most, func() (bool, error) {
		running, _, err := s.holder()
		return !running, err
	})
}

// poll asks done every now and then until it says so, or most has passed.
func poll(ctx context.Context, most time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s", most)
		case <-tick.C:
		}
	}
}

// write leaves info for scripts, whole or not at all.
func (s devState) write(info devInfo) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", s.infoFile(), err)
	}
	next := s.infoFile() + ".next"
	f, err := s.create(next)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", s.infoFile(), err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", s.infoFile(), err)
	}
	return os.Rename(next, s.infoFile())
}

// read returns what write left.
func (s devState) read() (devInfo, error) {
	var info devInfo
	b, err := os.ReadFile(s.infoFile())
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(b, &info)
}
