package netrule_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/netrule"
)

func TestSecretsTravelEncryptedOrWithinThisMachine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw       string
		plaintext bool
		want      error
	}{
		{"https://host.example.com", false, nil},
		{"HTTPS://host.example.com/", false, nil},
		{"https://host.example.com:8200/a/path", false, nil},
		{"https://[2001:db8::1]:8200", false, nil},
		{"http://127.0.0.1:8200", false, nil},
		{"http://LocalHost:8200/", false, nil},
		{"http://[::1]:8200", false, nil},
		{"http://openbao:8200", true, nil},

		{"http://host.example.com", false, netrule.ErrPlaintext},
		{"http://10.0.0.1", false, netrule.ErrPlaintext},
		{"http://0.0.0.0:8200", false, netrule.ErrPlaintext},
		{"http://[::]:8200", false, netrule.ErrPlaintext},
		{"http://127.0.0.1.example.com", false, netrule.ErrPlaintext},
		{"http://localhost.example.com", false, netrule.ErrPlaintext},

		{"https://user:hunter2@host.example.com", true, netrule.ErrExtra},
		{"https://@host.example.com", true, netrule.ErrExtra},
		{"http://127.0.0.1@host.example.com", false, netrule.ErrExtra},
		{"https://host.example.com/?x=y", true, netrule.ErrExtra},
		{"https://host.example.com/?", true, netrule.ErrExtra},
		{"https://host.example.com/#x", true, netrule.ErrExtra},
		{"https://host.example.com/#", true, netrule.ErrExtra},

		{"", true, netrule.ErrNoURL},
		{"host.example.com", true, netrule.ErrNoURL},
		{"host.example.com:8200", true, netrule.ErrNoURL},
		{"//host.example.com", true, netrule.ErrNoURL},
		{"https:host.example.com", true, netrule.ErrNoURL},
		{"https://", true, netrule.ErrNoURL},
		{"https://:8200", true, netrule.ErrNoURL},
		{"https://user:hunter2@host.example.com:port", true, netrule.ErrNoURL},
		{"https://host.example.com:0", true, netrule.ErrNoURL},
		{"https://host.example.com:65536", true, netrule.ErrNoURL},
		{"ftp://127.0.0.1", true, netrule.ErrNoURL},
		{"unix:///run/bao.sock", true, netrule.ErrNoURL},
		{"%", true, netrule.ErrNoURL},
	} {
		u, err := netrule.URL(tt.raw, tt.plaintext)
		if !errors.Is(err, tt.want) || (err == nil) != (u != nil) {
			t.Errorf("URL(%q, %t) = %v, %v, want %v", tt.raw, tt.plaintext, u, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL(%q): the error shows the password: %v", tt.raw, err)
		}
	}
}

func TestThisMachineIsKnownWithoutAskingAnybody(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.255.255.254": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.": false, "a.localhost": false, "localhost.localdomain": false, "127.0.0.1.example.com": false,
		"0.0.0.0": false, "::": false, "128.0.0.1": false, "10.0.0.1": false, "169.254.169.254": false, "::ffff:10.0.0.1": false,
		"127.1": false, "0x7f000001": false, "2130706433": false, "127.0.0.01": false, "::1%lo": false, "[::1]": false,
	} {
		if got := netrule.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %t, want %t", host, got, want)
		}
	}
}
