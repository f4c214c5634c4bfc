package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/credenceproject/credence/internal/config"
)

// commands calls f for each command of the program.
func commands(f func(*cobra.Command)) {
	nothing := func(string) (string, bool) { return "", false }
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		f(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(nothing, streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}))
}

// TestInvariant_D2_NoFlagHoldsASecret: arguments are visible to every process of
// the machine, so a secret is given as the name of its file.
func TestInvariant_D2_NoFlagHoldsASecret(t *testing.T) {
	t.Parallel()
	secretive := regexp.MustCompile(`secret|token|password|credential|private|(^|-)key(-|$)|database-url`)
	harmless := regexp.MustCompile(`-(file|ttl|lifetime|endpoint|expire-at)$`)
	named := []string{"client-key", "idempotency-key"} // the first names a file, the second is no secret
	seen := 0
	commands(func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if secretive.MatchString(f.Name) && f.Value.Type() != "bool" {
				seen++
				if !harmless.MatchString(f.Name) && !slices.Contains(named, f.Name) {
					t.Errorf("%s --%s takes a secret", c.CommandPath(), f.Name)
				}
			}
		})
	})
	if seen == 0 {
		t.Error("no flag was looked at")
	}
	for _, s := range config.Settings() {
		if secretive.MatchString(s.Flag) && !s.Secret && !harmless.MatchString(s.Flag) {
			t.Errorf("%s is not marked as a secret", s.Env)
		}
	}
}

func TestTheServerHasAFlagForEverySetting(t *testing.T) {
	t.Parallel()
	commands(func(c *cobra.Command) {
		if c.CommandPath() != "credence server" {
			return
		}
		want := []string{"help"}
		for _, s := range config.Settings() {
			name := s.Flag
			if s.Secret {
				name += "-file"
			}
			want = append(want, name)
			f := c.Flags().Lookup(name)
			if f == nil {
				t.Errorf("there is no --%s", name)
				continue
			}
			if !strings.Contains(f.Usage, s.Env) || (!s.Secret && f.DefValue != s.Default) {
				t.Errorf("--%s has the default %q and says %q, want %q and the variable %s", name, f.DefValue, f.Usage, s.Default, s.Env)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(want, f.Name) {
				t.Errorf("--%s is not a setting", f.Name)
			}
		})
	})
}

func TestADefaultIsNotGiven(t *testing.T) {
	t.Parallel()
	cmd := &cobra.Command{}
	addServerFlags(cmd)
	if err := cmd.Flags().Parse([]string{"--listen", "0.0.0.0:1", "--vault-role="}); err != nil {
		t.Fatal(err)
	}
	given := givenFlags(cmd.Flags())
	for name, want := range map[string]struct {
		value string
		given bool
	}{"listen": {"0.0.0.0:1", true}, "vault-role": {"", true}, "metrics-listen": {"", false}, "no-such-flag": {"", false}} {
		if v, ok := given(name); v != want.value || ok != want.given {
			t.Errorf("--%s is %q, given %t; want %q, %t", name, v, ok, want.value, want.given)
		}
	}
}

func TestACommandMayTakeSomeSettingsOnly(t *testing.T) {
	t.Parallel()
	cmd := &cobra.Command{}
	addServerFlags(cmd, "CREDENCE_DATABASE_URL", "CREDENCE_LISTEN")
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	want(t, "flags", "database-url-file listen", strings.Join(names, " "))
}
