package postgres_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// While an upgrade replaces the servers, those of the release before write on by the
// SQL that they have. It knows of no parts: all of them count as touched.
func TestServersOfTheReleaseBeforeWriteOnWhenPartsAreThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	s := b.session(t)
	if _, err := b.pool.Exec(t.Context(), `INSERT INTO scopes (name, revision) VALUES ('test', 7)`); err != nil {
		t.Fatal(err)
	}
	for _, part := range registry.Parts {
		if touch := loaded(t, s).Scopes[registry.ScopePart{Scope: "test", Part: part}]; touch.Revision != 7 || touch.At.IsZero() {
			t.Errorf("an environment that they made has the part %s at %+v", part, touch)
		}
	}
	for name, sql := range map[string]string{
		"one scope":  `INSERT INTO scopes (name, revision) VALUES ('production', 1001) ON CONFLICT (name) DO UPDATE SET revision = excluded.revision`,
		"all scopes": `UPDATE scopes SET revision = 1001`,
	} {
		b.outdate(t, "production", "agents-7", 1e12)
		if _, err := b.pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f := loaded(t, s)
		for _, part := range append([]string{""}, registry.Parts...) {
			p := registry.ScopePart{Scope: "production", Part: part}
			touch := f.Scopes[p]
			if age := one[float64](t, b, `SELECT extract(epoch FROM now() - $1::timestamptz)`, touch.At); touch.Revision != 1001 || age > 30 {
				t.Errorf("%s: %s is at revision %d, %v s old", name, p, touch.Revision, age)
			}
		}
		if _, err := b.pool.Exec(t.Context(), `UPDATE scopes SET revision = 1000`); err != nil {
			t.Fatal(err)
		}
	}
	// Ours says which part it touches, and touches no other.
	before := loaded(t, s).Scopes
	b.heartbeatOf(t, "staging")
	if after := loaded(t, s).Scopes; after[registry.ScopePart{Scope: "production", Part: "policy"}] != before[registry.ScopePart{Scope: "production", Part: "policy"}] {
		t.Error("a heartbeat of staging touched production")
	}
}

func (b *bundle) heartbeatOf(t *testing.T, scope string) {
	t.Helper()
	b.outdate(t, scope, "", 1e12)
	if n := b.beat(t, 1e11); n != 1 {
		t.Fatalf("%d heartbeats", n)
	}
}
