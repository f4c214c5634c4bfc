package decisions

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Whatever a policy reads, it finds what an OPA finds that loaded the bundle.
func TestStoreReadsAsAnOPAThatLoadedTheBundle(t *testing.T) {
	t.Parallel()
	for _, p := range []registry.PlatformPolicy{saying("x"), inLayout3(saying("x"))} {
		t.Run(fmt.Sprintf("layout %d", p.Layout), func(t *testing.T) {
			t.Parallel()
			readsAsAnOPA(t, viewOf(p))
		})
	}
}

func readsAsAnOPA(t *testing.T, v *snapshot.View) {
	t.Helper()
	triage, hello := shardName(snapshot.ShardOf("triage@clients")), shardName(snapshot.ShardOf("hello-skill"))
	for _, path := range []string{
		"/registry", "/registry/meta", "/registry/meta/revision", "/registry/meta/revision/x", "/registry/meta/nothing",
		"/registry/environment", "/registry/environment/grants", "/registry/nothing",
		"/registry/agents", "/registry/agents/" + triage, "/registry/agents/" + triage + "/triage@clients",
		"/registry/agents/" + triage + "/triage@clients/team", "/registry/agents/" + triage + "/triage@clients/suspended",
		"/registry/agents/" + triage + "/triage@clients/labels", "/registry/agents/" + triage + "/triage@clients/scopes/0",
		"/registry/agents/" + triage + "/triage@clients/expires_at", "/registry/agents/" + triage + "/tester@clients",
		"/registry/agents/" + triage + "/nobody", "/registry/agents/zz", "/registry/agents/0", "/registry/agents/+1", "/registry/agents/" + hello + "/triage@clients",
		"/registry/resources", "/registry/resources/" + hello, "/registry/resources/" + hello + "/hello-skill/access/visibility",
		"/registry/resources/" + hello + "/hello-skill/environments/0", "/registry/resources/" + hello + "/hello-skill/environments/1",
		"/registry/resources/" + hello + "/hello-skill/environments/2", "/registry/resources/" + hello + "/hello-skill/environments/-1",
		"/registry/resources/" + hello + "/hello-skill/environments/x", "/registry/resources/" + hello + "/hello-skill/environments/0/x",
		"/nothing", "/mcp", "/system/log",
	} {
		for _, environment := range v.EnvironmentNames() {
			t.Run(environment+path, func(t *testing.T) {
				t.Parallel()
				p := storage.MustParsePath(path)
				want, wantErr := storage.ReadOne(t.Context(), loadBundle(t, v, environment).store, p)
				got, err := store{}.Read(t.Context(), newTransaction(v, environment), p)
				if storage.IsNotFound(err) != storage.IsNotFound(wantErr) || (err == nil) != (wantErr == nil) {
					t.Fatalf("error %v, want %v", err, wantErr)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("document (-opa +ours):\n%s", diff)
				}
			})
		}
	}
}

func TestStoreHasNoMoreThanTheRegistryAtItsRoot(t *testing.T) {
	t.Parallel()
	v := viewOf(saying("x"))
	whole, err := store{}.Read(t.Context(), newTransaction(v, "production"), storage.RootPath)
	if err != nil {
		t.Fatal(err)
	}
	below, err := store{}.Read(t.Context(), newTransaction(v, "production"), storage.MustParsePath("/registry"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"registry": below}, whole); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
}

func TestStoreCannotBeWritten(t *testing.T) {
	t.Parallel()
	txn := newTransaction(viewOf(saying("x")), "production")
	for name, err := range map[string]error{
		"write":    store{}.Write(t.Context(), txn, storage.AddOp, storage.MustParsePath("/registry/x"), 1),
		"truncate": store{}.Truncate(t.Context(), txn, storage.WriteParams, nil),
		"policy":   store{}.UpsertPolicy(t.Context(), txn, "x", nil),
	} {
		if _, ok := errors.AsType[*storage.Error](err); !ok {
			t.Errorf("%s: error %v, want a storage error", name, err)
		}
	}
}

func TestStoreStopsMakingTheWholeDocumentWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store{}.Read(ctx, newTransaction(viewOf(saying("x")), "production"), storage.MustParsePath("/registry/agents"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestStoreReadsOnlyItsOwnTransactions(t *testing.T) {
	t.Parallel()
	_, err := store{}.Read(t.Context(), nil, storage.MustParsePath("/registry"))
	if e, ok := errors.AsType[*storage.Error](err); !ok || e.Code != storage.InvalidTransactionErr {
		t.Errorf("error %v, want an invalid transaction", err)
	}
}

// manyAgents is a registry of n agents and n resources in production.
func manyAgents(n int, p registry.PlatformPolicy) *snapshot.View {
	f := registry.Facts{
		Head: registry.Head{Epoch: "e1", Revision: 1}, Scopes: touched(map[string]int64{"production": 1}),
		Environments: []registry.EnvironmentFacts{{Name: "production", Grants: "permissions", MaxStaleness: "15m"}}, Policy: p,
	}
	for i := range n {
		f.Agents = append(f.Agents, agentIn("production", fmt.Sprintf("agent-%06d", i), "team"))
		f.Resources = append(f.Resources, registry.ResourceFacts{
			Name: fmt.Sprintf("skill-%06d", i), Type: registry.Skill, Team: "team", DataClassification: "low",
			Access: registry.Access{Visibility: registry.VisibleToTeam}, Environments: []string{"production"},
		})
	}
	f.Resources = append(f.Resources, registry.ResourceFacts{
		Name: "nobodys", Type: registry.Skill, Team: "nobody", DataClassification: "low",
		Access: registry.Access{Visibility: registry.VisibleToTeam}, Environments: []string{"staging"},
	})
	return snapshot.New(f)
}
