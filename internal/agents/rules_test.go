package agents

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func number(n int64) *int64 { return &n }

// perSecond is a quota that says nothing of a day.
func perSecond(n int64) registry.Quota { return registry.Quota{RequestsPerSecond: &n} }

// TestInvariant_A1_ARegistrationGrantsItselfNothing asks for more than an agent
// type allows, in each respect.
func TestInvariant_A1_ARegistrationGrantsItselfNothing(t *testing.T) {
	t.Parallel()
	base := func() (Registration, registry.Rules) {
		return Registration{Name: "triage", Team: "cx", AgentType: "support", Environment: "production"}, registry.Rules{
			Team: registry.NewTeam("cx"),
			AgentType: registry.AgentType{
				Name: "support", AllowedEnvironments: []string{"production", "staging"},
				DefaultScopes: []string{"skills:invoke"}, AllowedScopes: []string{"skills:invoke", "data:read"},
				DefaultQuota: perSecond(10), MaxQuota: &registry.Quota{RequestsPerSecond: number(100)},
			},
			Environment: registry.Environment{Name: "production"},
		}
	}
	asks := func(scopes ...string) func(*Registration, *registry.Rules) {
		return func(r *Registration, _ *registry.Rules) { r.Scopes = &scopes }
	}
	for name, tc := range map[string]struct {
		change func(*Registration, *registry.Rules)
		scopes []string // of the agent, when it is admitted
		faults []string // else: pointer and code of each
	}{
		"nothing asked for":       {func(*Registration, *registry.Rules) {}, []string{"skills:invoke"}, nil},
		"a scope that is allowed": {asks("data:read"), []string{"data:read"}, nil},
		"all scopes that are":     {asks("data:read", "skills:invoke"), []string{"data:read", "skills:invoke"}, nil},
		"no scope at all": {func(r *Registration, _ *registry.Rules) {
			r.Scopes = &[]string{}
		}, []string{}, nil},
		"a scope that is not":        {asks("data:write"), nil, []string{"/scopes/0 scope_not_allowed"}},
		"two that are not":           {asks("admin", "data:read", "data:write"), nil, []string{"/scopes/0 scope_not_allowed", "/scopes/2 scope_not_allowed"}},
		"one that begins like it":    {asks("data:read:all"), nil, []string{"/scopes/0 scope_not_allowed"}},
		"one that it is a prefix of": {asks("data"), nil, []string{"/scopes/0 scope_not_allowed"}},
		"a wildcard":                 {asks("*"), nil, []string{"/scopes/0 scope_not_allowed"}},
		"a scope in capitals":        {asks("Data:Read"), nil, []string{"/scopes/0 scope_not_allowed"}},
		"a wildcard in the type is a name like any other": {func(r *Registration, rules *registry.Rules) {
			rules.AgentType.AllowedScopes = []string{"data:*"}
			r.Scopes = &[]string{"data:read"}
		}, nil, []string{"/scopes/0 scope_not_allowed"}},
		"defaults that the type no longer allows": {func(_ *Registration, rules *registry.Rules) {
			rules.AgentType.AllowedScopes = []string{"data:read"}
		}, nil, []string{"/scopes/0 scope_not_allowed"}},
		"a type that allows nothing": {func(_ *Registration, rules *registry.Rules) {
			rules.AgentType = registry.AgentType{Name: "support"}
		}, nil, []string{"/environment environment_not_allowed"}},
		"an environment that is not allowed": {func(r *Registration, _ *registry.Rules) {
			r.Environment = "development"
		}, nil, []string{"/environment environment_not_allowed"}},
		"a quota beyond the most": {func(r *Registration, _ *registry.Rules) {
			r.Quota = perSecond(101)
		}, nil, []string{"/quota/requests_per_second quota_not_allowed"}},
		"everything at once": {func(r *Registration, rules *registry.Rules) {
			r.Environment, r.Scopes = "development", &[]string{"admin"}
			r.Quota = registry.Quota{RequestsPerSecond: number(101), RequestsPerDay: number(2)}
			rules.AgentType.MaxQuota.RequestsPerDay = number(1)
		}, nil, []string{
			"/environment environment_not_allowed", "/scopes/0 scope_not_allowed",
			"/quota/requests_per_second quota_not_allowed", "/quota/requests_per_day quota_not_allowed",
		}},
		"a blocked team": {func(_ *Registration, rules *registry.Rules) {
			rules.Team.Blocked = true
		}, nil, []string{"/team team_blocked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, rules := base()
			tc.change(&r, &rules)
			a, err := admit(r, rules)
			if tc.faults == nil {
				if err != nil {
					t.Fatalf("admit() = %v", err)
				}
				if diff := cmp.Diff(tc.scopes, a.Scopes); diff != "" {
					t.Errorf("scopes (-want +got):\n%s", diff)
				}
				return
			}
			e, ok := registry.AsError(err)
			if !ok || !errors.Is(err, registry.Forbidden) {
				t.Fatalf("admit() = %v, want Forbidden", err)
			}
			var faults []string
			for _, f := range e.Fields {
				faults = append(faults, f.Pointer+" "+f.Code)
			}
			if diff := cmp.Diff(tc.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if e.Code != e.Fields[0].Code {
				t.Errorf("code = %s, want that of the first fault", e.Code)
			}
			if diff := cmp.Diff(registry.Agent{}, a); diff != "" {
				t.Errorf("a refused registration gave an agent:\n%s", diff)
			}
		})
	}
}

// TestInvariant_A1_Quota goes through what is asked for, what the type gives by
// default and what it gives at most; -1 stands for not said.
func TestInvariant_A1_Quota(t *testing.T) {
	t.Parallel()
	const unsaid = -1
	said := func(n int64) *int64 {
		if n == unsaid {
			return nil
		}
		return &n
	}
	const none = -2 // no max_quota at all, rather than one without this field
	for _, tc := range []struct {
		asked, byDefault, most int64
		want                   int64
		refused                bool
	}{
		{unsaid, unsaid, none, unsaid, false},
		{unsaid, 10, none, 10, false},
		{unsaid, unsaid, 100, 100, false}, // an agent that says nothing is still bounded
		{unsaid, 10, 100, 10, false},
		{unsaid, 200, 100, 100, false}, // a default beyond the most
		{unsaid, 0, 100, 0, false},
		{50, unsaid, none, 50, false}, // the type says nothing
		{10, 10, none, 10, false},
		{11, 10, none, 0, true}, // no max_quota: the default is the most
		{5, 10, none, 5, false},
		{100, 10, 100, 100, false},
		{101, 10, 100, 0, true},
		{50, 200, 100, 50, false},
		{1, unsaid, 0, 0, true},
		{0, unsaid, 0, 0, false},
		{11, 10, unsaid, 0, true}, // a max_quota that is silent here: the default is the most
		{10, 10, unsaid, 10, false},
		{unsaid, 10, unsaid, 10, false},
		{50, unsaid, unsaid, 50, false},
	} {
		rules := registry.Rules{Team: registry.NewTeam("cx"), AgentType: registry.AgentType{
			Name: "support", AllowedEnvironments: []string{"production"},
			DefaultQuota: registry.Quota{RequestsPerSecond: said(tc.byDefault), RequestsPerDay: said(tc.byDefault)},
		}}
		if tc.most != none {
			rules.AgentType.MaxQuota = &registry.Quota{RequestsPerSecond: said(tc.most), RequestsPerDay: said(tc.most)}
		}
		a, err := admit(Registration{
			Team: "cx", AgentType: "support", Environment: "production",
			Quota: registry.Quota{RequestsPerSecond: said(tc.asked), RequestsPerDay: said(tc.asked)},
		}, rules)
		if tc.refused {
			if e, ok := registry.AsError(err); !ok || e.Code != "quota_not_allowed" || len(e.Fields) != 2 {
				t.Errorf("asked %d, default %d, most %d: %v, want both refused", tc.asked, tc.byDefault, tc.most, err)
			}
			continue
		}
		want := registry.Quota{RequestsPerSecond: said(tc.want), RequestsPerDay: said(tc.want)}
		if diff := cmp.Diff(want, a.Quota); err != nil || diff != "" {
			t.Errorf("asked %d, default %d, most %d: %v (-want +got):\n%s", tc.asked, tc.byDefault, tc.most, err, diff)
		}
	}
}
