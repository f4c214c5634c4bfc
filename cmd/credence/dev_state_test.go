package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Whoever can write where a dev system is started must not read its tokens, nor
// aim what it writes at other files.
func TestInvariant_D3_TheStateDirectoryIsOursAndNoLinkIsWrittenThrough(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	victim := filepath.Join(work, "victim")
	if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := devStateIn(work)
	if err := os.Mkdir(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".gitignore", "dev.json.next", "credence.log", "dev.out"} {
		if err := os.Symlink(victim, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	release, err := s.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := s.write(devInfo{Ready: true}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.logFile(), s.outFile()} {
		f, err := s.create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "keep" {
		t.Errorf("the linked file holds %q, %v", b, err)
	}
	for path, want := range map[string]os.FileMode{s.dir: 0o700 | os.ModeDir, s.infoFile(): 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestInvariant_D3_AStateDirectoryOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	if err := os.Symlink(t.TempDir(), devStateIn(work).dir); err != nil {
		t.Fatal(err)
	}
	if _, err := devStateIn(work).acquire(); err == nil {
		t.Error("a link in place of the directory was taken")
	}
	if os.Geteuid() != 0 {
		return // only root can make a directory of somebody else
	}
	work = t.TempDir()
	if err := os.Mkdir(devStateIn(work).dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(devStateIn(work).dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := devStateIn(work).acquire(); err == nil {
		t.Error("a directory of somebody else was taken")
	}
}

// What a server says is data: a terminal that obeys C1 controls or reorders text
// must not be steered by it, and the JSON stays the same.
func TestJSONOutputHoldsNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	sent := "{\"owner\": \"a\u009b31m\u202e\u007fü😀\"}"
	var b bytes.Buffer
	if err := writeJSON(&b, json.RawMessage(sent)); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if r >= 0x7f && unprintable(r) {
			t.Errorf("the output holds %U", r)
		}
	}
	var before, after map[string]string
	if err := json.Unmarshal([]byte(sent), &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), &after); err != nil {
		t.Fatal(err)
	}
	if before["owner"] != after["owner"] {
		t.Errorf("the document changed from %q to %q", before["owner"], after["owner"])
	}
}
