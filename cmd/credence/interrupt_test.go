package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
)

// Whoever interrupts one of these must not take what is half done for done.
func TestAnInterruptedSetupOrMigrationSaysSo(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]struct {
		args []string
		env  func(address string) map[string]string
	}{
		"migrate": {[]string{"migrate"}, func(address string) map[string]string {
			return map[string]string{"CREDENCE_DATABASE_URL": "postgres://credence:hunter2@" + address + "/credence?sslmode=disable"}
		}},
		"setup auth0": {[]string{"setup", "auth0"}, func(address string) map[string]string {
			return map[string]string{
				"CREDENCE_AUTH0_DOMAIN": "http://" + address, "CREDENCE_AUTH0_CLIENT_ID": "id", "CREDENCE_AUTH0_CLIENT_SECRET": "hunter2",
				"CREDENCE_AGENT_AUDIENCE": "https://mcp.example.com/", "CREDENCE_AUTH_AUDIENCE": "https://credence.example.com/",
			}
		}},
		"setup vault": {[]string{"setup", "vault", "--agent-issuer", "https://tenant.example.com/"}, func(address string) map[string]string {
			return map[string]string{"CREDENCE_VAULT_ADDRESS": "http://" + address, "CREDENCE_AGENT_AUDIENCE": "https://mcp.example.com/", "VAULT_TOKEN": "hunter2"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			env := command.env(silent(t, cancel))
			var out, errs bytes.Buffer
			err := run(ctx, command.args, func(name string) (string, bool) {
				value, ok := env[name]
				return value, ok
			}, streams{in: strings.NewReader(""), out: &out, err: &errs})
			if ctx.Err() == nil {
				t.Fatalf("it never got as far as the other side: %v", err)
			}
			if code := exitCode(err); code != exitFailure || !strings.HasPrefix(err.Error(), "interrupted; ") {
				t.Errorf("exit code %d, want %d: %v", code, exitFailure, err)
			}
		})
	}
}

// silent is the address of something that takes a connection, says so, and never
// answers on it.
func silent(t *testing.T, reached func()) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }() // with the listener
			reached()
		}
	}()
	return l.Addr().String()
}
