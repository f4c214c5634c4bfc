package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/config"
)

func TestASecretsFileIsReadEachTime(t *testing.T) {
	t.Parallel()
	file := writeFile(t, filepath.Join(t.TempDir(), "secret"), "first\n")
	env := usable(map[string]string{"CREDENCE_VAULT_SECRET_ID": "", "CREDENCE_VAULT_SECRET_ID_FILE": file})
	secret := mustLoad(t, nil, env).Vault.SecretID
	value := func() string {
		t.Helper()
		v, err := secret.Value()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]string{
		"first": "first", "line\n": "line", "windows\r\n": "windows", " blanks stay ": " blanks stay ", "two\nlines\n": "two\nlines",
	} {
		writeFile(t, file, text)
		if got := value(); got != want {
			t.Errorf("of the file %q the secret is %q, want %q", text, got, want)
		}
	}
	writeFile(t, file, "\n")
	if _, err := secret.Value(); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("of an empty file: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Value(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("of a file that is gone: %v", err)
	}
	if !secret.IsSet() || (config.Secret{}).IsSet() {
		t.Error("IsSet() is wrong")
	}
}

func TestASecretsFileThatIsNotThereOrEmptyIsAFaultAtOnce(t *testing.T) {
	t.Parallel()
	empty := writeFile(t, filepath.Join(t.TempDir(), "secret"), "")
	for _, file := range []string{empty, filepath.Join(t.TempDir(), "missing")} {
		for where, sources := range map[string][2]map[string]string{
			"variable": {nil, usable(map[string]string{"CREDENCE_VAULT_SECRET_ID": "", "CREDENCE_VAULT_SECRET_ID_FILE": file})},
			"flag":     {{"vault-secret-id-file": file}, usable(nil)},
		} {
			_, err := config.Load(source(sources[0]), source(sources[1]))
			if err == nil || !strings.Contains(err.Error(), "CREDENCE_VAULT_SECRET_ID: ") || !strings.Contains(err.Error(), file) {
				t.Errorf("by a %s: %v", where, err)
			}
		}
	}
}

// TestInvariant_D2_SecretsDoNotShowThemselves prints and logs a configuration
// in every way that comes to mind.
func TestInvariant_D2_SecretsDoNotShowThemselves(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, nil, usable(nil))
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"JSON": string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%e"} {
		shown[verb] = fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c) + fmt.Sprintf(verb, c.DatabaseURL) + fmt.Sprintf(verb, &c.DatabaseURL) +
			fmt.Sprintf(verb, []config.Secret{c.DatabaseURL}) + fmt.Sprintf(verb, map[string]config.Secret{"a": c.DatabaseURL})
	}
	shown["Sprint"] = fmt.Sprint(c, c.DatabaseURL)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).InfoContext(t.Context(), "configured", "config", c, "secret", c.DatabaseURL, "pointer", &c.DatabaseURL, "group", slog.GroupValue(slog.Any("s", c.Vault.SecretID)))
		shown[name] = b.String()
	}
	for how, text := range shown {
		for _, secret := range []string{"in-the-url", "in-the-variable", "in-the-other-variable"} {
			hex := fmt.Sprintf("%x", secret)
			if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), hex) {
				t.Errorf("%s shows a secret: %s", how, text)
			}
		}
		if !strings.Contains(text, "[redacted]") {
			t.Errorf("%s does not say that something was left out: %s", how, text)
		}
	}
}
