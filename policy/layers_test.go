package policy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

const reasons = policy.Query + ".reasons"

func reason(tier, id, code string) any { return object{"tier": tier, "id": id, "code": code} }

// own is a module of a layer, and its path in a bundle.
func own(key registry.LayerKey, rules string) map[string]string {
	return map[string]string{key.Module(): "package " + key.Package() + "\n\nimport data.mcp.request\n\nmeta := {}\n\n" + rules}
}

// The words in which Go names a layer's module are those in which the policy looks
// for it.
func TestLayersOwnModulesAreFound(t *testing.T) {
	t.Parallel()
	for tier, id := range map[registry.Tier]string{registry.TierGlobal: "a-rule-set", registry.TierTeam: "red", registry.TierAgentType: "support", registry.TierAgent: "0197-alice"} {
		key := registry.LayerKey{Tier: tier, ID: id}
		module := own(key, `deny contains "no_post" if request.method == "POST"

allow contains "get" if request.method == "GET"
`)
		data := layered(object{key.String(): layer(object{"rego": true, "required": true})})
		data["environment"].(object)["grants"] = "explicit"
		e := newEngineWith(t, module, reasons, data)
		for method, want := range map[string][]any{"POST": {reason(string(tier), id, "no_post")}, "GET": {}, "PUT": {reason("platform", "grants", "no_grant")}} {
			got, err := e.eval(t.Context(), input("alice@clients", method, "hello"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(any(want), got); diff != "" {
				t.Errorf("reasons of %s on %s (-want +got):\n%s", key, method, diff)
			}
		}
	}
}

// The pattern of a deny that is mounted where nobody looks for it: `not` of a path
// that does not exist holds, and what was to be closed is open. A layer that is
// required is denied by its absence.
func TestADenyThatIsMountedElsewhereDenies(t *testing.T) {
	t.Parallel()
	const deny = "\n\nmeta := {}\n\ndeny contains \"closed\" if true\n"
	open, err := rego.New(
		rego.Query("data.main.main"), rego.Store(inmem.New()), rego.SetRegoVersion(ast.RegoV1),
		rego.Module("main.rego", "package main\n\nmain if not data.globalsecurity.deny\n"),
		rego.Module("deny.rego", "package stacks.globalsecurity.globalsecurity"+deny),
	).Eval(t.Context())
	if err != nil || len(open) != 1 || open[0].Expressions[0].Value != true {
		t.Fatalf("the pattern that we avoid is %v, %v: want it to be open", open, err)
	}
	data := layered(object{"global/globalsecurity": layer(object{"rego": true, "required": true})})
	for pkg, want := range map[string]any{
		`mcp.layers["global"]["globalsecurity"]`:                reason("global", "globalsecurity", "closed"),
		`mcp.layers["globalsecurity"]`:                          reason("platform", "global/globalsecurity", "layer_missing"),
		`mcp.layers["global"]["globalsecurity"].globalsecurity`: reason("platform", "global/globalsecurity", "layer_missing"),
		`mcp.stacks["globalsecurity"]`:                          reason("platform", "global/globalsecurity", "layer_missing"),
	} {
		e := newEngineWith(t, map[string]string{"deny.rego": "package " + pkg + deny}, reasons, data)
		got, err := e.eval(t.Context(), input("alice@clients", "POST", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any([]any{want}), got); diff != "" {
			t.Errorf("a deny in package %s (-want +got):\n%s", pkg, diff)
		}
	}
}

// Where the clock of a place cannot be told, the condition holds for what denies and
// does not for what allows. An OPA that is asked to make failing builtins errors has
// no decision then, which is no permission either.
func TestHoursOfAnUnknownZone(t *testing.T) {
	t.Parallel()
	when := func(also object) object {
		also["outside_hours"] = object{"from": 0, "to": 1440, "days": []any{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}, "timezone": "Mars/Olympus"}
		return also
	}
	denies := layered(object{
		"team/red":           layer(object{"deny": []any{rule("closed", when(object{}))}}),
		"agent_type/support": layer(object{"deny": []any{rule("elsewhere", when(object{"resources": []any{"billing"}}))}}),
	})
	allows := layered(object{"team/red": layer(object{"allow": []any{rule("open", when(object{}))}})})
	allows["environment"].(object)["grants"] = "explicit"
	for name, row := range map[string]struct{ data, want any }{
		"denies": {denies, []any{reason("team", "red", "closed")}},
		"allows": {allows, []any{reason("platform", "grants", "no_grant")}},
	} {
		got, err := newEngine(t, reasons, row.data, rego.StrictBuiltinErrors(false)).eval(t.Context(), input("alice@clients", "POST", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("a rule that %s (-want +got):\n%s", name, diff)
		}
		if got, err := newEngine(t, policy.Query, row.data).eval(t.Context(), input("alice@clients", "POST", "hello")); err == nil {
			t.Errorf("a rule that %s, where failing builtins are errors, gives %v", name, got)
		}
	}
}

// Of all records a decision reads the caller's and the resource's, and of the layers
// those that apply: never a map of them.
func TestADecisionReadsNoOthersLayers(t *testing.T) {
	t.Parallel()
	records := object{"global/a": layer(nil), "team/red": layer(nil), "agent_type/support": layer(nil), "agent/0197-alice": layer(nil)}
	for i := range 2000 {
		for _, tier := range []string{"team", "agent_type", "agent"} {
			records[fmt.Sprintf("%s/other-%d", tier, i)] = layer(object{"deny": []any{rule("closed", object{})}})
		}
	}
	store := &recorder{Store: inmem.NewFromObject(object{"registry": plain(t, layered(records))})}
	for _, query := range []string{policy.Query, "data.mcp.authz.contributions"} {
		e := newEngine(t, query, object{}, rego.Store(store))
		store.take()
		if _, err := e.eval(t.Context(), input("alice@clients", "POST", "hello")); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, path := range store.take() {
			if strings.HasPrefix(path, "/registry/layers") && !slices.ContainsFunc(got, func(above string) bool { return strings.HasPrefix(path, above+"/") }) {
				got = append(got, path)
			}
		}
		want := []string{
			"/registry/layers/agent/" + policy.Shard("0197-alice") + "/0197-alice",
			"/registry/layers/agent_type/" + policy.Shard("support") + "/support",
			"/registry/layers/global",
			"/registry/layers/team/" + policy.Shard("red") + "/red",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what %s reads of layers (-want +got):\n%s", query, diff)
		}
	}
}

// recorder keeps the paths that are read.
type recorder struct {
	storage.Store
	mu    sync.Mutex
	paths map[string]bool
}

func (r *recorder) Read(ctx context.Context, txn storage.Transaction, path storage.Path) (any, error) {
	r.mu.Lock()
	if r.paths == nil {
		r.paths = map[string]bool{}
	}
	r.paths[path.String()] = true
	r.mu.Unlock()
	return r.Store.Read(ctx, txn, path)
}

// take returns what was read since it was last called, sorted.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := make([]string, 0, len(r.paths))
	for path := range r.paths {
		paths = append(paths, path)
	}
	r.paths = nil
	slices.Sort(paths)
	return paths
}

// Of a layer's module the rules are evaluated that the policy asks for, and no other:
// one that has several values would leave the call without a decision.
func TestALayersOtherRulesAreNotEvaluated(t *testing.T) {
	t.Parallel()
	module := own(registry.LayerKey{Tier: registry.TierTeam, ID: "red"}, `deny contains "closed" if request.method == "DELETE"

allow contains "open" if true

torn := 1 if request.method == "POST"

torn := 2 if request.method == "POST"
`)
	data := layered(object{"team/red": layer(object{"rego": true, "required": true})})
	data["environment"].(object)["grants"] = "explicit"
	for _, query := range []string{reasons, "data.mcp.authz.contributions[0].deny"} {
		got, err := newEngineWith(t, module, query, data).eval(t.Context(), input("alice@clients", "POST", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any([]any{}), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}
