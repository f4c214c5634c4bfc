package decide_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// everything is one layer of each kind that there is to tell of.
func everything() []registry.LayerFacts {
	always := registry.Conditions{}
	return []registry.LayerFacts{
		{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: "gone"}, Rego: refused, Required: true},
		{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: "open"}, Rules: []registry.Rule{{Code: "all", Effect: registry.Allow, When: always}}},
		ofTeam(regoOf("deny contains \"posts\" if request.method == \"POST\"\n\nallow contains \"red\" if true"),
			registry.Rule{Code: "never", Effect: registry.Deny, Message: "not here", When: registry.Conditions{Methods: []string{"GET"}}},
			registry.Rule{Code: "skills", Effect: registry.Deny, When: registry.Conditions{ResourceTypes: []registry.ResourceType{registry.Skill}}}),
		{LayerKey: registry.LayerKey{Tier: registry.TierAgentType, ID: "support"}, Ceiling: &registry.Ceiling{Permissions: []string{"data:read"}}},
		{LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "blue"}, Rules: []registry.Rule{{Code: "others", Effect: registry.Deny, When: always}}},
	}
}

func TestEachLayersContributionIsTold(t *testing.T) {
	t.Parallel()
	v := snapshot.New(explicit(small(everything()...)))
	got, err := decider().Explain(v, "production", call(), noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	wantCodes(t, got.Decision, "above_ceiling", "layer_missing", "posts", "skills")
	layers := everything()
	want := []decide.Contribution{
		{Layer: layers[0], Missing: true},
		{Layer: layers[1], Matched: []bool{true}},
		{Layer: layers[2], Matched: []bool{false, true}, Deny: []string{"posts"}, Allow: []string{"red"}},
		{Layer: layers[3], AboveCeiling: true},
	}
	if diff := cmp.Diff(want, got.Layers, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("contributions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"data:read"}, got.Permissions); diff != "" {
		t.Errorf("permissions that count (-want +got):\n%s", diff)
	}
	var said []bool
	for _, c := range got.Layers {
		said = append(said, c.Denies(), c.Allows())
	}
	if diff := cmp.Diff([]bool{true, false, false, true, true, true, true, false}, said); diff != "" {
		t.Errorf("who denies and allows (-want +got):\n%s", diff)
	}
}

func TestChecksAreThoseThatWereMade(t *testing.T) {
	t.Parallel()
	all := []string{
		"no_verified_token", "token_expired", "registry_stale", "agent_unknown", "token_revoked", "agent_suspended", "agent_expired",
		"resource_unknown", "environment_mismatch", "access_denied", "missing_permission", "no_grant",
	}
	for name, row := range map[string]struct {
		change func(*registry.Facts, *decide.Query)
		made   []string
		failed []string
	}{
		"allowed":    {func(*registry.Facts, *decide.Query) {}, all, nil},
		"no grant":   {func(f *registry.Facts, _ *decide.Query) { *f = explicit(*f) }, all, []string{"no_grant"}},
		"no token":   {func(_ *registry.Facts, q *decide.Query) { q.TokenValid = false }, all[:1], []string{"no_verified_token"}},
		"no agent":   {func(_ *registry.Facts, q *decide.Query) { q.Claims["sub"] = "bob" }, []string{all[0], all[1], all[2], all[3], all[7]}, []string{"agent_unknown"}},
		"elsewhere":  {func(f *registry.Facts, _ *decide.Query) { f.Resources[0].Environments = nil }, all, []string{"environment_mismatch"}},
		"no such":    {func(_ *registry.Facts, q *decide.Query) { q.Resource = "x" }, all[:8], []string{"resource_unknown"}},
		"suspended":  {func(f *registry.Facts, _ *decide.Query) { f.Agents[0].Suspended = true }, all, []string{"agent_suspended"}},
		"expired":    {func(f *registry.Facts, _ *decide.Query) { f.Agents[0].ExpiresAt = noon }, all, []string{"agent_expired"}},
		"revoked":    {func(f *registry.Facts, _ *decide.Query) { f.Agents[0].ValidAfter = noon.Add(1) }, all, []string{"token_revoked"}},
		"old token":  {func(_ *registry.Facts, q *decide.Query) { q.Claims["exp"] = noon.Unix() }, all, []string{"token_expired"}},
		"owner":      {func(f *registry.Facts, _ *decide.Query) { f.Resources[0].Access.Teams = nil }, all, []string{"access_denied"}},
		"permission": {func(f *registry.Facts, _ *decide.Query) { f.Agents[0].Scopes = nil }, all, []string{"missing_permission"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, q := small(), call()
			row.change(&f, &q)
			v := snapshot.New(f)
			got, err := decider().Explain(v, "production", q, noon, noon)
			if err != nil {
				t.Fatal(err)
			}
			var made, failed []string
			for _, c := range got.Checks {
				if made = append(made, c.Code); !c.Holds {
					failed = append(failed, c.Code)
				}
			}
			if diff := cmp.Diff(row.made, made); diff != "" {
				t.Errorf("checks made (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.failed, failed); diff != "" {
				t.Errorf("checks that failed (-want +got):\n%s", diff)
			}
			wantCodes(t, got.Decision, row.failed...)
			if decided, err := decider().Decide(v, "production", q, noon); err != nil || !cmp.Equal(decided, got.Decision) {
				t.Errorf("Decide says %+v, %v and Explain %+v", decided, err, got.Decision)
			}
		})
	}
}

// A call can be thought of at another time; the registry's data is as old as it is.
func TestDataIsAsOldAsItIsWhateverTimeIsAskedAbout(t *testing.T) {
	t.Parallel()
	v := snapshot.New(small())
	later := noon.AddDate(0, 0, 7)
	q := call()
	q.Claims["exp"] = later.Unix() + 60
	for name, row := range map[string]struct {
		at, present time.Time
		want        []string
	}{
		"now":                         {noon, noon, nil},
		"in a week":                   {later, noon, nil},
		"in a week, of old data":      {later, noon.Add(time.Hour), []string{"registry_stale"}},
		"of the past, of old data":    {noon, later, []string{"registry_stale"}},
		"of the past, of data of now": {noon.Add(-time.Minute), noon, nil},
	} {
		got, err := decider().Explain(v, "production", q, row.at, row.present)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { t.Parallel(); wantCodes(t, got.Decision, row.want...) })
	}
}
