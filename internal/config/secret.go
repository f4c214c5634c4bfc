package config

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a configured secret: its text, or the file that holds it. It does
// not show itself when it is printed or logged.
type Secret struct {
	text string
	file string
}

// NewSecret returns a Secret of the text itself.
func NewSecret(text string) Secret { return Secret{text: text} }

// Value returns the secret. One that lives in a file is read at each call, so
// that a rotated file is picked up; a blank line's end at its end does not count.
func (s Secret) Value() (string, error) {
	if s.file == "" {
		return s.text, nil
	}
	b, err := os.ReadFile(s.file)
	if err != nil {
		return "", fmt.Errorf("read the secret file: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// IsSet reports whether there is a secret at all.
func (s Secret) IsSet() bool { return s.text != "" || s.file != "" }

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// NewSecretFile returns the Secret that lives in a file.
func NewSecretFile(path string) Secret { return Secret{file: path} }
