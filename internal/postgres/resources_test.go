package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func helloSkill() registry.Resource {
	return registry.Resource{
		Name: "hello-skill", Type: registry.Skill, Team: "platform", Description: "Says hello", DataClassification: "low",
		RequiredPermissions: []string{"skills:invoke"},
		Access:              registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{"customer-success"}, AgentTypes: []string{}},
		Deployments: map[string]registry.Deployment{
			"production": {Endpoint: "https://hello.skills.example.com"}, "staging": {Endpoint: "http://10.20.0.7:8080"},
		},
		Operations: []registry.Operation{
			{Name: "say-hello", Method: "POST", Path: "/say-hello", Input: json.RawMessage(`{"b": 1e2,  "a": ["<&>"]}`), Output: json.RawMessage(`true`)},
			{Name: "read", Method: "GET", Path: "/"},
		},
		Labels: map[string]string{"cost-center": "cx-12"},
	}
}

var may = registry.Judgement{}

func (b *bundle) environments(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, _, err := b.store.PutEnvironment(t.Context(), registry.Environment{Name: name, Grants: "permissions", MaxStaleness: "15m"}, some, alice); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bundle) putResource(t *testing.T, r registry.Resource) registry.Resource {
	t.Helper()
	saved, _, err := b.store.PutResource(t.Context(), r, some, may, alice)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func TestResourceComesBackAsItWasPut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	want := helloSkill()
	want.Operations[0].Input = json.RawMessage(`{"b":1e2,"a":["\u003c\u0026\u003e"]}`) // the same document
	want.Meta = registry.Meta{Revision: 3, Version: 1}
	put, created, err := b.store.PutResource(t.Context(), helloSkill(), some, may, alice)
	if err != nil || !created {
		t.Fatalf("PutResource() = created %t, error %v", created, err)
	}
	got, err := b.store.Resource(t.Context(), "hello-skill")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, ignoreTimes); diff != "" {
		t.Errorf("Resource() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(put, got); diff != "" {
		t.Errorf("Resource() differs from what PutResource() returned (-put +got):\n%s", diff)
	}
}

func TestPutOfTheSameResourceTakesNoRevision(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	bare := registry.Resource{Name: "bare", Type: registry.Service, Team: "platform", DataClassification: "low", Access: registry.Access{Visibility: "team"}}
	for _, r := range []registry.Resource{helloSkill(), bare} {
		first := b.putResource(t, r)
		again, created, err := b.store.PutResource(t.Context(), r, some, may, alice)
		if err != nil || created {
			t.Fatalf("the second PUT of %s: created %t, error %v", r.Name, created, err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("the second PUT of %s made a state of its own:\n%s", r.Name, diff)
		}
		r.Description += "."
		if changed := b.putResource(t, r); changed.Tag() == first.Tag() || changed.Revision != first.Revision+1 {
			t.Errorf("a change of %s kept tag %s and revision %d", r.Name, changed.Tag(), changed.Revision)
		}
	}
}

// What followers are told has nothing that policy does not need.
func TestInvariant_B7_TheChangeOfAResourceHidesItsInside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	r := b.putResource(t, helloSkill())
	if err := b.store.DeleteResource(t.Context(), r.Name, some, may, alice); err != nil {
		t.Fatal(err)
	}
	const changeSQL = `SELECT jsonb_build_array(old_scope, new_scope, after) FROM changes WHERE kind = 'resource' AND object_id = $1 AND revision = $2`
	for revision, want := range map[int64]string{
		r.Revision: `[null, "*", {"name": "hello-skill", "team": "platform", "type": "skill", "access": {"teams": ["customer-success"], "visibility": "team", "agent_types": []},` +
			` "labels": {"cost-center": "cx-12"}, "revision": 3, "environments": ["production", "staging"], "data_classification": "low", "required_permissions": ["skills:invoke"]}]`,
		r.Revision + 1: `["*", null, null]`,
	} {
		if got := one[string](t, b, changeSQL, r.Name, revision); got != want {
			t.Errorf("the change at revision %d is\n%s\nwant\n%s", revision, got, want)
		}
	}
	for _, scope := range []string{"production", "staging"} {
		if got := one[int64](t, b, `SELECT revision FROM scopes WHERE name = $1`, scope); got != r.Revision+1 {
			t.Errorf("scope %s was last touched at revision %d, want %d: every bundle has all resources", scope, got, r.Revision+1)
		}
	}
	const eventsSQL = `SELECT string_agg(concat_ws(' ', action, outcome, actor, object_name, team), ', ' ORDER BY id) FROM audit_events WHERE object_kind = 'resource'`
	want := "resource.put success auth0|alice hello-skill platform, resource.delete success auth0|alice hello-skill platform"
	if got := one[string](t, b, eventsSQL); got != want {
		t.Errorf("audit events: %s, want %s", got, want)
	}
}

func TestResourcesAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	for _, r := range []registry.Resource{
		{Name: "b-tool", Type: registry.Tool, Team: "platform", Description: "Counts 100% of _things_", Deployments: map[string]registry.Deployment{"staging": {}}},
		{Name: "a-skill", Type: registry.Skill, Team: "cx", Description: "TALKS", Operations: []registry.Operation{{Name: "talk", Method: "POST", Path: "/"}}},
		{Name: "c-skill", Type: registry.Skill, Team: "platform", Deployments: map[string]registry.Deployment{"staging": {}, "production": {}},
			Operations: []registry.Operation{{Name: "walk", Method: "POST", Path: "/"}, {Name: "talk", Method: "GET", Path: "/"}}},
	} {
		r.DataClassification, r.Access.Visibility = "low", "team"
		b.putResource(t, r)
	}
	for _, tt := range []struct {
		filter registry.ResourceFilter
		want   []string
	}{
		{registry.ResourceFilter{}, []string{"a-skill", "b-tool", "c-skill"}},
		{registry.ResourceFilter{Limit: 2}, []string{"a-skill", "b-tool"}},
		{registry.ResourceFilter{After: "a-skill"}, []string{"b-tool", "c-skill"}},
		{registry.ResourceFilter{After: "a-skill", Type: registry.Skill}, []string{"c-skill"}},
		{registry.ResourceFilter{Type: registry.Tool}, []string{"b-tool"}},
		{registry.ResourceFilter{Team: "platform"}, []string{"b-tool", "c-skill"}},
		{registry.ResourceFilter{Environment: "staging"}, []string{"b-tool", "c-skill"}},
		{registry.ResourceFilter{Environment: "production"}, []string{"c-skill"}},
		{registry.ResourceFilter{Environment: "prod"}, nil},
		{registry.ResourceFilter{Operation: "talk"}, []string{"a-skill", "c-skill"}},
		{registry.ResourceFilter{Operation: "wal"}, nil},
		{registry.ResourceFilter{Q: "skill"}, []string{"a-skill", "c-skill"}},
		{registry.ResourceFilter{Q: "talks"}, []string{"a-skill"}},
		{registry.ResourceFilter{Q: "%"}, []string{"b-tool"}},
		{registry.ResourceFilter{Q: "_THINGS_"}, []string{"b-tool"}},
		{registry.ResourceFilter{Q: "' OR true --"}, nil},
		{registry.ResourceFilter{Type: registry.Skill, Team: "platform", Environment: "staging", Operation: "talk", Q: "c-"}, []string{"c-skill"}},
	} {
		if tt.filter.Limit == 0 {
			tt.filter.Limit = 10
		}
		found, err := b.store.Resources(t.Context(), tt.filter)
		if err != nil {
			t.Fatalf("Resources(%+v): %v", tt.filter, err)
		}
		var names []string
		for _, r := range found {
			names = append(names, r.Name)
		}
		if diff := cmp.Diff(tt.want, names); diff != "" {
			t.Errorf("Resources(%+v) (-want +got):\n%s", tt.filter, diff)
		}
	}
}

func TestTheResourceThatIsThereIsJudged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	never := func(registry.Resource) error { t.Error("judged a resource that is not there"); return nil }
	first, _, err := b.store.PutResource(t.Context(), helloSkill(), some, registry.Judgement{Of: never}, alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.DeleteResource(t.Context(), "nothing", some, registry.Judgement{Of: never}, alice); !errors.Is(err, registry.NotFound) {
		t.Errorf("delete nothing: error = %v, want NotFound", err)
	}
	var judged []registry.Resource
	refuse := func(r registry.Resource) error {
		judged = append(judged, r)
		return registry.Forbidden.Errorf("team_not_allowed", "no")
	}
	wrong := registry.Precondition{IfMatch: &registry.Tags{List: []string{"other"}}} // whoever may not learns no state
	other := helloSkill()
	other.Team = "mine"
	for _, pre := range []registry.Precondition{some, wrong} {
		if _, _, err := b.store.PutResource(t.Context(), other, pre, registry.Judgement{Of: refuse}, alice); !errors.Is(err, registry.Forbidden) {
			t.Errorf("put: error = %v, want Forbidden", err)
		}
		if err := b.store.DeleteResource(t.Context(), "hello-skill", pre, registry.Judgement{Of: refuse}, alice); !errors.Is(err, registry.Forbidden) {
			t.Errorf("delete: error = %v, want Forbidden", err)
		}
	}
	if diff := cmp.Diff([]registry.Resource{first, first, first, first}, judged); diff != "" {
		t.Errorf("judged (-want +got):\n%s", diff)
	}
	if got, _ := b.store.Resource(t.Context(), "hello-skill"); got.Tag() != first.Tag() {
		t.Errorf("a refused write left the state %s, want %s", got.Tag(), first.Tag())
	}
	if got := b.revision(t); got != first.Revision {
		t.Errorf("a refused write took revision %d", got)
	}
}

func TestEnvironmentsInUseByAResourceAreNotDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	r := helloSkill()
	b.putResource(t, r)
	for _, name := range []string{"production", "staging"} {
		if err := b.store.DeleteEnvironment(t.Context(), name, some, alice); !errors.Is(err, registry.Conflict) {
			t.Errorf("delete %s in use: error = %v, want Conflict", name, err)
		}
	}
	delete(r.Deployments, "staging")
	b.putResource(t, r)
	if err := b.store.DeleteEnvironment(t.Context(), "staging", some, alice); err != nil {
		t.Errorf("delete staging that is no longer in use: %v", err)
	}
	r.Deployments["staging"] = registry.Deployment{Endpoint: "http://10.20.0.7"}
	if _, _, err := b.store.PutResource(t.Context(), r, some, may, alice); !errors.Is(err, registry.Conflict) || !contains(err, "meanwhile") {
		t.Errorf("deploy in an environment that is gone: error = %v, want Conflict", err)
	}
	if err := b.store.DeleteResource(t.Context(), r.Name, some, may, alice); err != nil {
		t.Fatal(err)
	}
	if err := b.store.DeleteEnvironment(t.Context(), "production", some, alice); err != nil {
		t.Errorf("delete production that is no longer in use: %v", err)
	}
}

// Deploying and deleting the environment race; never are both done.
func TestNoResourceIsLeftInAnEnvironmentThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 20 {
		name := fmt.Sprintf("e%d", i)
		b.environments(t, name)
		r := helloSkill()
		r.Name, r.Deployments = name, map[string]registry.Deployment{name: {Endpoint: "http://h"}}
		var wg sync.WaitGroup
		var put, deleted error
		wg.Go(func() { _, _, put = b.store.PutResource(t.Context(), r, some, may, alice) })
		wg.Go(func() { deleted = b.store.DeleteEnvironment(t.Context(), name, some, alice) })
		wg.Wait()
		if (put == nil) == (deleted == nil) {
			t.Errorf("put: %v, delete: %v; want exactly one of them done", put, deleted)
		}
		for _, err := range []error{put, deleted} {
			if err != nil && !errors.Is(err, registry.Conflict) {
				t.Errorf("error = %v, want Conflict", err)
			}
		}
	}
}

// Two writers that each change what they have read and write it back with
// If-Match lose nothing.
func TestWritersWithIfMatchLoseNoChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := helloSkill()
	r.Deployments = nil
	b.putResource(t, r)
	const each = 10
	var refused atomic.Int64
	var wg sync.WaitGroup
	for writer := range 2 {
		wg.Go(func() {
			for i := 0; i < each; {
				have, err := b.store.Resource(t.Context(), r.Name)
				if err != nil {
					t.Error(err)
					return
				}
				have.Access.Teams = append(have.Access.Teams, fmt.Sprintf("team-%d-%d", writer, i))
				pre := registry.Precondition{IfMatch: &registry.Tags{List: []string{have.Tag()}}}
				switch _, _, err := b.store.PutResource(t.Context(), have, pre, may, alice); {
				case err == nil:
					i++
				case errors.Is(err, registry.PreconditionFailed):
					refused.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := b.store.Resource(t.Context(), r.Name)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Access.Teams); n != 1+2*each {
		t.Errorf("%d teams after %d refusals, want %d", n, refused.Load(), 1+2*each)
	}
}
