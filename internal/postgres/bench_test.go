package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

func benchSetup(b *testing.B) *postgres.Store {
	b.Helper()
	dsn := testdb.DSN(b)
	pool, err := postgres.Open(b.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return postgres.NewStore(pool)
}

// BenchmarkRegistration is all that the registry writes for one registration,
// without any provider.
func BenchmarkRegistration(b *testing.B) {
	store := benchSetup(b)
	ctx := b.Context()
	environment, _, err := store.PutEnvironment(ctx, registry.Environment{Name: "production", Grants: "permissions", MaxStaleness: "15m"}, some, alice)
	if err != nil {
		b.Fatal(err)
	}
	agentType, _, err := store.PutAgentType(ctx, registry.AgentType{Name: "support"}, some, alice)
	if err != nil {
		b.Fatal(err)
	}
	rules := registry.Rules{Team: registry.Team{Name: "customer-success", MaxAgents: 1 << 40}, AgentType: agentType, Environment: environment}
	for i := 0; b.Loop(); i++ {
		n := newAgent(b, fmt.Sprintf("agent-%d", i), rules)
		n.Key = &registry.IdempotencyKey{Principal: "p", Key: n.Agent.Name, Fingerprint: "f"}
		a, lease, err := store.CreateAgent(ctx, n, alice)
		if err != nil {
			b.Fatal(err)
		}
		for _, step := range registry.Steps[:4] {
			p := registry.Progress{Steps: []registry.StepName{step}, State: registry.StepDone}
			if step == registry.StepClient {
				p.ClientID, p.IntentID = "client-"+a.ID, n.IntentID
			}
			if lease, err = store.RecordProgress(ctx, lease, p, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
		facts := a.Facts()
		f := registry.Finish{Generation: 1, Published: &facts, Steps: registry.Steps[4:], StepState: registry.StepDone}
		if _, err := store.FinishPass(ctx, lease, f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleClaim is what a registry in which nothing is due costs each second.
func BenchmarkIdleClaim(b *testing.B) {
	store := benchSetup(b)
	for b.Loop() {
		if claims, err := store.ClaimAgents(b.Context(), time.Minute, 8); err != nil || len(claims) != 0 {
			b.Fatal(claims, err)
		}
	}
}
