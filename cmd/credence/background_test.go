package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/registry"
)

// priorities is a budget that has no place and remembers who asked for one.
type priorities []bool // low

func (p *priorities) Take(_ context.Context, low bool) error {
	*p = append(*p, low)
	return errors.New("there is no place")
}

func (*priorities) Report(context.Context, int, int, time.Time) {}

// deleting is a pass that makes one call.
type deleting struct{ identity *auth0.Client }

func (d deleting) Reconcile(ctx context.Context, c registry.Claim) error {
	return d.identity.DeleteClient(ctx, c.Agent.ClientID)
}

func TestPassesInTheBackgroundLetRequestsGoFirst(t *testing.T) {
	t.Parallel()
	var asked priorities
	identity, err := auth0.New(t.Context(), auth0.Config{
		Domain: "tenant.example.com", ClientID: "management", ClientSecret: func() (string, error) { return "secret", nil },
		Audience: "https://mcp.example.com/", Installation: "test", Budget: &asked,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pass := deleting{identity}
	for _, r := range []interface {
		Reconcile(ctx context.Context, c registry.Claim) error
	}{pass, yielding{pass}} {
		if err := r.Reconcile(t.Context(), registry.Claim{Agent: registry.Agent{ClientID: "client-1"}}); !errors.Is(err, registry.ErrNotDone) {
			t.Errorf("Reconcile() = %v, want that no call was made", err)
		}
	}
	if len(asked) != 2 || asked[0] || !asked[1] {
		t.Errorf("low priority = %v, want it for the pass in the background alone", asked)
	}
}
