package policies_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/registry"
)

// TestInvariant_A4_OwnersWriteTheirTier goes through who may write, roll back and
// delete what. A rollback is to a version that anybody might have put.
func TestInvariant_A4_OwnersWriteTheirTier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	platforms := registry.LayerKey{Tier: registry.TierTeam, ID: "platform"}
	for _, tc := range []struct {
		key  registry.LayerKey
		who  string
		by   registry.Principal
		code string // of the refusal; "": none
	}{
		{ofAll, "an admin", admin, ""},
		{ofAll, "a member", ana, "tier_not_allowed"},
		{ofType, "an admin", admin, ""},
		{ofType, "a member", ana, "tier_not_allowed"},
		{ofTeam, "an admin", admin, ""},
		{ofTeam, "a member", ana, ""},
		{ofTeam, "another team's member", ben, "team_not_allowed"},
		{ofTeam, "nobody", registry.Principal{}, "team_not_allowed"},
		{w.ofAgent(), "an admin", admin, ""},
		{w.ofAgent(), "a member of its team", ana, ""},
		{w.ofAgent(), "another team's member", ben, "team_not_allowed"},
		{platforms, "a member", ben, ""},
		{platforms, "another team's member", ana, "team_not_allowed"},
	} {
		for _, action := range []string{"put", "rollback", "delete"} {
			there, err := w.service.Get(t.Context(), tc.key)
			if err != nil {
				there = w.mustPut(quiet(tc.key), create)
			}
			switch action {
			case "put":
				p := quiet(tc.key)
				p.Rules[0].Message = tc.who
				err = w.put(tc.by, p, on(there))
			case "rollback":
				_, err = w.service.Rollback(t.Context(), tc.by, tc.key, 1, on(there))
			default:
				err = w.service.Delete(t.Context(), tc.by, tc.key, on(there).Pre)
			}
			if tc.code != "" {
				wantError(t, err, registry.Forbidden, tc.code)
			} else if err != nil {
				t.Errorf("%s of %v by %s: %v", action, tc.key, tc.who, err)
			}
		}
	}
}

func TestTheAgentsPresentTeamWritesItsPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.mustPut(quiet(w.ofAgent()), create)
	w.transfer("platform")
	wantError(t, w.put(ana, custom(w.ofAgent()), on(there)), registry.Forbidden, "team_not_allowed")
	wantError(t, w.service.Delete(t.Context(), ana, w.ofAgent(), on(there).Pre), registry.Forbidden, "team_not_allowed")
	if err := w.put(ben, custom(w.ofAgent()), on(there)); err != nil {
		t.Errorf("Put() by the new team = %v", err)
	}
}

func TestABlockedTeamWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range []registry.LayerKey{ofTeam, w.ofAgent()} {
		w.mustPut(quiet(key), create)
	}
	w.block("support")
	for _, key := range []registry.LayerKey{ofTeam, w.ofAgent()} {
		_, rollback := w.service.Rollback(t.Context(), ana, key, 1, replace)
		for _, err := range []error{w.put(ana, custom(key), replace), rollback, w.service.Delete(t.Context(), ana, key, replace.Pre)} {
			wantError(t, err, registry.Forbidden, "team_blocked")
		}
		w.mustPut(custom(key), replace) // an admin cleans up
		if err := w.service.Delete(t.Context(), admin, key, replace.Pre); err != nil {
			t.Errorf("Delete() by an admin = %v", err)
		}
	}
	wantError(t, w.put(ana, quiet(ofTeam), create), registry.Forbidden, "team_blocked")
}

// TestInvariant_A4_AuthorsKeepWhatBoundsThem has a member change, set and remove what
// is for admins, in every way there is.
func TestInvariant_A4_AuthorsKeepWhatBoundsThem(t *testing.T) {
	t.Parallel()
	reads := &registry.Ceiling{Permissions: []string{"data:read", "skills:invoke"}}
	bounded := func(c *registry.Ceiling, required bool) func(registry.LayerKey) registry.Policy {
		return func(key registry.LayerKey) registry.Policy {
			p := custom(key)
			p.Rules[0].Message = "changed"
			p.Ceiling, p.Required = c, required
			return p
		}
	}
	const ceiling, required = "/ceiling ceiling_not_allowed", "/required required_not_allowed"
	meant := replace
	meant.DeniesEveryone = true
	w := newWorld(t)
	for name, tc := range map[string]struct { //nolint:paralleltest // they write the same policy
		before, after func(registry.LayerKey) registry.Policy
		faults        []string
	}{
		"neither":                       {quiet, bounded(nil, false), nil},
		"both stay":                     {bounded(reads, true), bounded(reads, true), nil},
		"in another order":              {bounded(reads, true), bounded(&registry.Ceiling{Permissions: []string{"skills:invoke", "data:read"}}, true), nil},
		"a ceiling where there is none": {quiet, bounded(reads, false), []string{ceiling}},
		"one that says nothing":         {quiet, bounded(&registry.Ceiling{}, false), []string{ceiling}},
		"a higher one":                  {bounded(reads, false), bounded(&registry.Ceiling{Permissions: []string{"data:read", "skills:invoke", "data:write"}}, false), []string{ceiling}},
		"a lower one":                   {bounded(reads, false), bounded(&registry.Ceiling{Permissions: []string{"data:read"}}, false), []string{ceiling}},
		"a ceiling of something else":   {bounded(reads, false), bounded(&registry.Ceiling{DataClassification: []string{"low"}}, false), []string{ceiling}},
		"one that also bounds data":     {bounded(reads, false), bounded(&registry.Ceiling{Permissions: reads.Permissions, DataClassification: []string{"low"}}, false), []string{ceiling}},
		"one that lets nothing through": {bounded(&registry.Ceiling{}, false), bounded(&registry.Ceiling{Permissions: []string{}}, false), []string{ceiling}},
		"none from then on":             {bounded(reads, false), bounded(nil, false), []string{ceiling}},
		"required":                      {quiet, bounded(nil, true), []string{required}},
		"required no more":              {bounded(nil, true), bounded(nil, false), []string{required}},
		"neither any more":              {bounded(reads, true), bounded(nil, false), []string{ceiling, required}},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.before(ofTeam)
			before.Rules[0].Message = "before"
			w.mustPut(before, create)
			defer w.mustDelete(ofTeam)
			after := w.mustPut(tc.after(ofTeam), meant)
			w.mustPut(before, replace)

			_, rollback := w.service.Rollback(t.Context(), ana, ofTeam, after.Version, meant)
			for action, err := range map[string]error{"put": w.put(ana, tc.after(ofTeam), meant), "rollback": rollback} {
				if tc.faults == nil {
					if err != nil {
						t.Errorf("%s: %v", action, err)
					}
					continue
				}
				code := "ceiling_not_allowed"
				if tc.faults[0] == required {
					code = "required_not_allowed"
				}
				wantError(t, err, registry.Forbidden, code, tc.faults...)
			}
		})
	}
}

// A first version that a member writes has no bounds, and what has them stays until
// an admin deletes it: otherwise its author would be rid of them by making it anew.
func TestInvariant_A4_DeletingAPolicyLiftsNoBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		key      registry.LayerKey
		ceiling  *registry.Ceiling
		required bool
		code     string
		faults   []string
	}{
		{ofTeam, &registry.Ceiling{}, false, "ceiling_not_allowed", []string{"/ceiling ceiling_not_allowed"}},
		{ofTeam, nil, true, "required_not_allowed", []string{"/required required_not_allowed"}},
		{w.ofAgent(), nil, true, "required_not_allowed", []string{"/required required_not_allowed"}},
	} {
		p := quiet(tc.key)
		p.Ceiling, p.Required = tc.ceiling, tc.required
		wantError(t, w.put(ana, p, create), registry.Forbidden, tc.code, tc.faults...)
		w.mustPut(p, create)
		wantError(t, w.service.Delete(t.Context(), ana, tc.key, replace.Pre), registry.Forbidden, tc.code, tc.faults...)
		if err := w.service.Delete(t.Context(), admin, tc.key, replace.Pre); err != nil {
			t.Errorf("Delete() by an admin = %v", err)
		}
	}
}

// TestInvariant_A4_WhatHappensMeanwhileCounts changes who may write while the gate
// looks at the policy: which takes a moment.
func TestInvariant_A4_WhatHappensMeanwhileCounts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		key       func(*world) registry.LayerKey
		meanwhile func(*world)
		how       policies.Write
		kind      registry.Kind
		code      string
		faults    []string
	}{
		"the agent goes to another team": {
			(*world).ofAgent, func(w *world) { w.transfer("platform") }, create, registry.Forbidden, "team_not_allowed", nil,
		},
		"the team is blocked": {
			func(*world) registry.LayerKey { return ofTeam }, func(w *world) { w.block("support") }, create, registry.Forbidden, "team_blocked", nil,
		},
		"the agent's team is blocked": {
			(*world).ofAgent, func(w *world) { w.block("support") }, create, registry.Forbidden, "team_blocked", nil,
		},
		"an admin sets a ceiling": {
			func(*world) registry.LayerKey { return ofTeam }, func(w *world) {
				p := quiet(ofTeam)
				p.Ceiling = &registry.Ceiling{}
				w.mustPut(p, replace)
			}, replace, registry.Forbidden, "ceiling_not_allowed", []string{"/ceiling ceiling_not_allowed"},
		},
		"somebody else writes it": {
			func(*world) registry.LayerKey { return ofTeam }, func(w *world) { w.mustPut(quiet(ofTeam), create) }, create, registry.PreconditionFailed, "precondition_failed", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.how.Pre.IfMatch != nil {
				w.mustPut(quiet(tc.key(w)), create)
			}
			w.gate.meanwhile = func() {
				w.gate.meanwhile = nil
				tc.meanwhile(w)
			}
			wantError(t, w.put(ana, custom(tc.key(w)), tc.how), tc.kind, tc.code, tc.faults...)
		})
	}
}
