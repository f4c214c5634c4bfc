package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/testdb"
)

// TestSetupIsRepeatable: a dry run writes nothing, the first run prepares, the
// second says that there is nothing to change.
func TestSetupIsRepeatable(t *testing.T) {
	t.Parallel()
	w := newLand(t)
	w.dsn = testdb.Empty(t)
	const nothing = "nothing to change"
	dry := w.setupAuth0("--dry-run") + w.setupVault("--dry-run", "--secret-id-file", filepath.Join(w.dir, "none"))
	if strings.Contains(dry, nothing) || strings.Count(dry, "dry run: nothing was written") != 2 {
		t.Errorf("the dry run says:\n%s", dry)
	}
	if writes := w.writes(); len(writes) > 0 {
		t.Errorf("the dry run wrote %v", writes)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "none")); err == nil {
		t.Error("the dry run made a secret id")
	}
	w.prepare()
	before := len(w.writes())
	again := w.setupAuth0() + w.setupVault() + mustCredence(t, w.env, "migrate")
	if strings.Count(again, nothing) != 2 || !strings.Contains(again, "(0 applied)") {
		t.Errorf("the second run says:\n%s", again)
	}
	if writes := w.writes(); len(writes) != before {
		t.Errorf("the second run wrote %v", writes[before:])
	}
	if dry := w.setupAuth0("--dry-run") + w.setupVault("--dry-run"); strings.Count(dry, nothing) != 2 {
		t.Errorf("a dry run on what is prepared says:\n%s", dry)
	}
	w.start()
	w.seed()
	w.as(w.developer).register(registration("works", nil))
}

// writes are the requests so far that change something at a provider.
func (w *world) writes() []seen {
	w.t.Helper()
	var writes []seen
	for _, c := range append(w.auth0.passed("/api/v2/"), w.vault.passed("/v1/")...) {
		if c.Method != "GET" && c.Method != "LIST" {
			writes = append(writes, c)
		}
	}
	return writes
}

// TestWhatCannotStartSaysWhatToDo: one line or a short list, no secret, no stack.
func TestWhatCannotStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := func(name, value string) map[string]string {
		env := map[string]string{}
		for k, v := range w.env {
			env[k] = v
		}
		env[name] = value
		if value == "" {
			delete(env, name)
		}
		return env
	}
	tests := []struct {
		name string
		env  map[string]string
		says string
	}{
		{"no database", with("CREDENCE_DATABASE_URL_FILE", ""), "CREDENCE_DATABASE_URL is not set"},
		{"a secret's file that is missing", with("CREDENCE_VAULT_SECRET_ID_FILE", "/nowhere"), "CREDENCE_VAULT_SECRET_ID"},
		{"one audience for both", with("CREDENCE_AUTH_AUDIENCE", agentAudience), "agents' tokens would open the control plane"},
		{"plain http elsewhere", with("CREDENCE_VAULT_ADDRESS", "http://vault.example.com"), "must be https"},
		{"a port that is taken", with("CREDENCE_LISTEN", w.api), "choose another with --listen"},
		{"a port of the metrics that is taken", with("CREDENCE_METRICS_LISTEN", w.metrics), "choose another with --metrics-listen"},
		{"half a certificate", with("CREDENCE_TLS_CERT_FILE", "/nowhere"), "CREDENCE_TLS_KEY_FILE go together"},
	}
	for _, tt := range tests {
		p := credence(t, tt.env, "server")
		if code := p.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(p.stderr.String(), tt.says) || strings.Contains(p.stderr.String(), "goroutine") {
			t.Errorf("%s: exit %d\n%s", tt.name, code, p.stderr)
		}
	}
}
