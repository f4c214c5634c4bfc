package postgres_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
)

// Invariant B1: sweeps wait for the operator's word.
func TestInvariant_B1_ARestoreIsUnconfirmedUntilAnOperatorSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, step := range []struct {
		by   string // "" nobody renews the epoch
		want bool
	}{
		{"", false}, {"credence", true}, {"credence restore", false}, {"credence restore", false}, {"credence", true}, {"credence", true}, {"credence restore", false},
	} {
		if step.by != "" {
			epoch := "00000000000000a" + string(rune('0'+i))
			if _, err := b.store.RenewEpoch(t.Context(), "", epoch, registry.Actor{Subject: step.by}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.store.RestoreUnconfirmed(t.Context())
		if err != nil || got != step.want {
			t.Errorf("after step %d, by %q: RestoreUnconfirmed() = %t, %v; want %t", i, step.by, got, err, step.want)
		}
	}
	if postgres.Restorer.Subject != "credence restore" {
		t.Errorf("the restorer is %q: databases of earlier releases know another", postgres.Restorer.Subject)
	}
}
