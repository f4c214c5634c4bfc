package local

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

// tailLines is how many lines of a log an error shows.
const tailLines = 3

// logTail returns the last lines of a log as one line.
func logTail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var lines []string
	for line := range strings.SplitSeq(string(b), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], " | ")
}

// redactor passes whole lines on to w, with secrets blotted out.
type redactor struct {
	w       io.WriteCloser
	secrets [][]byte
	line    []byte // what came after the last newline
}

func newRedactor(w io.WriteCloser, secrets []string) *redactor {
	r := &redactor{w: w}
	for _, s := range secrets {
		r.secrets = append(r.secrets, []byte(s))
	}
	return r
}

// Write keeps an unfinished line until its end is there, so that a secret which
// comes in two pieces is seen too.
func (r *redactor) Write(b []byte) (int, error) {
	r.line = append(r.line, b...)
	end := bytes.LastIndexByte(r.line, '\n') + 1
	if err := r.pass(r.line[:end]); err != nil {
		return 0, err
	}
	r.line = append([]byte(nil), r.line[end:]...)
	return len(b), nil
}

// Close writes an unfinished last line and closes w.
func (r *redactor) Close() error {
	err := r.pass(r.line)
	r.line = nil
	return errors.Join(err, r.w.Close())
}

func (r *redactor) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	for _, s := range r.secrets {
		b = bytes.ReplaceAll(b, s, []byte("[redacted]"))
	}
	_, err := r.w.Write(b)
	return err
}
