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
// that a rotated file is picked up; line ends at its end do not count. An empty
// file is an error: it is one that is just being written.
func (s Secret) Value() (string, error) {
	if s.file == "" {
		return s.text, nil
	}
	b, err := os.ReadFile(s.file)
	if err != nil {
		return "", fmt.Errorf("read the secret file: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("the secret file %s is empty", s.file)
	}
	return secret, nil
}

// IsSet reports whether there is a secret at all.
func (s Secret) IsSet() bool { return s.text != "" || s.file != "" }

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// Format hides the secret whatever the verb: %d, too, prints what is inside.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// NewSecretFile returns the Secret that lives in a file.
func NewSecretFile(path string) Secret { return Secret{file: path} }
