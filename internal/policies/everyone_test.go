package policies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

func deny(w registry.Conditions) registry.Rule {
	return registry.Rule{Code: "no", Effect: registry.Deny, When: w}
}

func hoursIn(zone, from, to string, days ...string) registry.Conditions {
	return registry.Conditions{OutsideHours: &registry.Hours{From: from, To: to, Days: days, Timezone: zone}}
}

func TestAPolicyThatDeniesEveryoneIsFound(t *testing.T) {
	t.Parallel()
	var (
		anybody = reach{environments: []string{"production", "staging"}}
		support = reach{environments: []string{"production", "staging"}, agentType: "support"}
		triage  = reach{environments: []string{"production"}, agentType: "support"}
		reads   = []string{"GET", "HEAD"}
		changes = []string{"POST", "PUT", "PATCH", "DELETE"}
		weekend = []string{"sat", "sun"}
		working = []string{"mon", "tue", "wed", "thu", "fri"}
	)
	none := []string{}
	for name, tc := range map[string]struct {
		of    reach
		rules []registry.Conditions // of rules that deny
		allow []registry.Conditions
		bound *registry.Ceiling
		want  bool
	}{
		"nothing":                              {of: anybody},
		"a rule without conditions":            {of: anybody, rules: []registry.Conditions{{}}, want: true},
		"one that allows everything":           {of: anybody, allow: []registry.Conditions{{}}},
		"that one beside one that denies":      {of: anybody, rules: []registry.Conditions{{}}, allow: []registry.Conditions{{}}, want: true},
		"one resource":                         {of: anybody, rules: []registry.Conditions{{Resources: []string{"billing"}}}},
		"every type":                           {of: anybody, rules: []registry.Conditions{{ResourceTypes: types}}, want: true},
		"every type but one":                   {of: anybody, rules: []registry.Conditions{{ResourceTypes: types[1:]}}},
		"every type of some resources":         {of: anybody, rules: []registry.Conditions{{ResourceTypes: types, Resources: []string{"billing"}}}},
		"every method, in two rules":           {of: anybody, rules: []registry.Conditions{{Methods: reads}, {Methods: changes}}, want: true},
		"every method but HEAD":                {of: anybody, rules: []registry.Conditions{{Methods: reads[:1]}, {Methods: changes}}},
		"reads of one half, changes of both":   {of: anybody, rules: []registry.Conditions{{Methods: reads, Environments: []string{"staging"}}, {Methods: changes}}},
		"every classification":                 {of: anybody, rules: []registry.Conditions{{DataClassification: classifications}}, want: true},
		"every environment that there is":      {of: anybody, rules: []registry.Conditions{{Environments: []string{"staging"}}, {Environments: []string{"production", "later"}}}, want: true},
		"one environment":                      {of: anybody, rules: []registry.Conditions{{Environments: []string{"staging"}}}},
		"the agent's own environment":          {of: triage, rules: []registry.Conditions{{Environments: []string{"production"}}}, want: true},
		"another than the agent's environment": {of: triage, rules: []registry.Conditions{{Environments: []string{"staging"}}}},
		"an environment where there is none":   {of: reach{}, rules: []registry.Conditions{{Environments: []string{"staging"}}}},
		"everything where there is none":       {of: reach{}, rules: []registry.Conditions{{}}, want: true},
		"an agent type":                        {of: anybody, rules: []registry.Conditions{{AgentTypes: []string{"support"}}}},
		"the type whose policy it is":          {of: support, rules: []registry.Conditions{{AgentTypes: []string{"batch", "support"}}}, want: true},
		"another type":                         {of: support, rules: []registry.Conditions{{AgentTypes: []string{"batch"}}}},
		"every permission that types ask for":  {of: anybody, rules: []registry.Conditions{{Permissions: []string{"skills:invoke", "tools:access", "data:read", "data:write"}}}},
		"those, and services": {of: anybody, rules: []registry.Conditions{
			{Permissions: []string{"skills:invoke", "tools:access", "data:read", "data:write"}}, {ResourceTypes: []registry.ResourceType{registry.Service}},
		}, want: true},
		"permissions that reading data does without": {of: anybody, rules: []registry.Conditions{
			{Permissions: []string{"skills:invoke", "tools:access", "data:write"}}, {ResourceTypes: []registry.ResourceType{registry.Service}},
		}},
		"outside of some hours":                           {of: anybody, rules: []registry.Conditions{hoursIn("Europe/Berlin", "09:00", "17:00", working...)}},
		"outside of one minute of the week":               {of: anybody, rules: []registry.Conditions{hoursIn("Pacific/Chatham", "03:07", "03:08", "wed")}},
		"outside of hours that never meet":                {of: anybody, rules: []registry.Conditions{hoursIn("", "09:00", "17:00", working...), hoursIn("", "09:00", "17:00", weekend...)}, want: true},
		"outside of hours that touch":                     {of: anybody, rules: []registry.Conditions{hoursIn("", "09:00", "12:00"), hoursIn("", "12:00", "17:00")}, want: true},
		"outside of hours that meet for a minute":         {of: anybody, rules: []registry.Conditions{hoursIn("", "09:00", "12:01"), hoursIn("", "12:00", "17:00")}},
		"outside of hours that meet past midnight":        {of: anybody, rules: []registry.Conditions{hoursIn("", "22:00", "06:00", "fri"), hoursIn("", "05:59", "24:00", "sat")}},
		"outside of a night and of a day after it":        {of: anybody, rules: []registry.Conditions{hoursIn("", "22:00", "06:00", "fri"), hoursIn("", "05:59", "24:00", "sun")}, want: true},
		"outside of the Sunday night that ends on Monday": {of: anybody, rules: []registry.Conditions{hoursIn("", "22:00", "06:00", "sun"), hoursIn("", "05:00", "07:00", "mon")}},
		"outside of hours that meet in summer":            {of: anybody, rules: []registry.Conditions{hoursIn("Europe/London", "09:00", "10:00"), hoursIn("", "08:30", "09:00")}},
		"outside of hours that meet in winter":            {of: anybody, rules: []registry.Conditions{hoursIn("Europe/London", "09:00", "10:00"), hoursIn("", "09:00", "09:30")}},
		"outside of hours half a world apart":             {of: anybody, rules: []registry.Conditions{hoursIn("Asia/Tokyo", "09:00", "17:00"), hoursIn("America/New_York", "09:00", "17:00")}, want: true},
		"outside of hours nowhere":                        {of: anybody, rules: []registry.Conditions{hoursIn("Atlantis/Capital", "00:00", "24:00")}, want: true},
		"outside of hours, and inside by type":            {of: anybody, rules: []registry.Conditions{hoursIn("", "09:00", "17:00"), {ResourceTypes: types}}, want: true},
		"a ceiling":                                       {of: anybody, bound: &registry.Ceiling{Permissions: []string{"data:read"}, DataClassification: []string{"public"}}},
		"a ceiling that says nothing":                     {of: anybody, bound: &registry.Ceiling{}},
		"a ceiling without permissions":                   {of: anybody, bound: &registry.Ceiling{Permissions: none}, want: true},
		"a ceiling without classifications":               {of: anybody, bound: &registry.Ceiling{DataClassification: none}, want: true},
		"a ceiling of what is denied":                     {of: anybody, bound: &registry.Ceiling{DataClassification: []string{"low"}}, rules: []registry.Conditions{{DataClassification: []string{"low"}}}, want: true},
		"a ceiling of more than is denied":                {of: anybody, bound: &registry.Ceiling{DataClassification: []string{"low", "high"}}, rules: []registry.Conditions{{DataClassification: []string{"low"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := registry.Policy{Ceiling: tc.bound}
			for _, w := range tc.rules {
				p.Rules = append(p.Rules, deny(w))
			}
			for _, w := range tc.allow {
				p.Rules = append(p.Rules, registry.Rule{Code: "yes", Effect: registry.Allow, When: w})
			}
			if got := deniesEveryone(p, tc.of); got != tc.want {
				t.Errorf("denies everyone = %t, want %t", got, tc.want)
			}
		})
	}
}

// What is found out by reason is what asking about every call finds out: of each
// kind, in each environment, of named and other resources and agent types, by
// agents with more and fewer permissions, at every minute of both weeks.
func TestDenyingEveryoneIsWhatAskingAboutEveryCallFinds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	found := map[bool]int{}
	for range 150 {
		p := registry.Policy{Rules: make([]registry.Rule, 1+r.IntN(5))}
		for i := range p.Rules {
			p.Rules[i] = deny(randomConditions(r))
		}
		if r.IntN(3) == 0 {
			p.Ceiling = &registry.Ceiling{Permissions: some(r, "skills:invoke", "tools:access", "data:read", "data:write"), DataClassification: some(r, classifications...)}
		}
		of := reach{environments: []string{"production", "staging"}[:1+r.IntN(2)]}
		if r.IntN(2) == 0 {
			of.agentType = "support"
		}
		want := !anyCallIsLeft(p, of)
		found[want]++
		if got := deniesEveryone(p, of); got != want {
			t.Fatalf("denies everyone = %t, want %t: %+v\n%+v, ceiling %+v", got, want, of, p.Rules, p.Ceiling)
		}
	}
	if found[true] < 20 || found[false] < 20 {
		t.Errorf("of the policies %d deny everyone and %d do not: too few to tell", found[true], found[false])
	}
}

// some are some of the values, or nil for no list at all.
func some[S any](r *rand.Rand, values ...S) []S {
	if r.IntN(2) == 0 {
		return nil
	}
	list := slices.Clone(values)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:1+r.IntN(len(list))]
}

func randomConditions(r *rand.Rand) registry.Conditions {
	w := registry.Conditions{ResourceTypes: some(r, types...), Methods: some(r, methods...), DataClassification: some(r, classifications...)}
	for _, widen := range []func(){ // most conditions hold of much, or hardly a policy would deny everyone
		func() { w.ResourceTypes = nil }, func() { w.Methods = nil }, func() { w.DataClassification = nil },
	} {
		if r.IntN(3) > 0 {
			widen()
		}
	}
	switch r.IntN(8) {
	case 0:
		w.Resources = some(r, "billing", "hello")
	case 1:
		w.AgentTypes = some(r, "support", "batch")
	case 2:
		w.Environments = some(r, "production", "staging")
	case 3:
		w.Permissions = some(r, "skills:invoke", "tools:access", "data:read", "data:write", "hello:say")
	case 4, 5:
		w.OutsideHours = &registry.Hours{
			From: fmt.Sprintf("%02d:%02d", r.IntN(12), r.IntN(60)), To: fmt.Sprintf("%02d:%02d", 12+r.IntN(12), r.IntN(60)),
			Days: some(r, days[:]...), Timezone: []string{"", "Europe/Berlin", "Asia/Kolkata"}[r.IntN(3)],
		}
	}
	return w
}

// anyCallIsLeft asks about every call, until one is not denied.
func anyCallIsLeft(p registry.Policy, of reach) bool {
	agentTypes := []string{of.agentType}
	if of.agentType == "" {
		agentTypes = []string{"support", "batch", "other"}
	}
	type moment struct{ at time.Time }
	var times []moment
	if slices.ContainsFunc(p.Rules, func(r registry.Rule) bool { return r.When.OutsideHours != nil }) {
		for _, week := range weeks {
			for minute := range 7 * 24 * 60 {
				times = append(times, moment{week.Add(time.Duration(minute) * time.Minute)})
			}
		}
	} else {
		times = []moment{{weeks[0]}}
	}
	read := make([]*hours, len(p.Rules))
	for i, r := range p.Rules {
		if r.When.OutsideHours != nil {
			h := hoursOf(*r.When.OutsideHours)
			read[i] = &h
		}
	}
	for _, k := range kindsOfCalls(p.Ceiling) {
		for _, environment := range of.environments {
			for _, agentType := range agentTypes {
				for _, resource := range []string{"billing", "hello", "other"} {
					for _, more := range [][]string{nil, {"hello:say"}, {"data:read", "data:write"}} {
						var left []*hours // of the rules that deny the call at least outside of them
						always := false
						for i, r := range p.Rules {
							w := r.When
							if k.meets(registry.Conditions{ResourceTypes: w.ResourceTypes, Methods: w.Methods, DataClassification: w.DataClassification}) &&
								lists(w.Environments, environment) && lists(w.AgentTypes, agentType) && lists(w.Resources, resource) &&
								(w.Permissions == nil || slices.ContainsFunc(append(more, k.permission), func(have string) bool { return slices.Contains(w.Permissions, have) })) {
								always = always || read[i] == nil
								left = append(left, read[i])
							}
						}
						if always {
							continue
						}
						for _, m := range times {
							if !slices.ContainsFunc(left, func(h *hours) bool { return h.outside(m.at) }) {
								return true
							}
						}
					}
				}
			}
		}
	}
	return false
}

// Hours are those of the platform policy: its tests have the same table.
func TestHoursAreByTheWallClock(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		hours   registry.Conditions
		at      string
		outside bool
	}{
		{hoursIn("", "09:00", "17:00"), "2026-03-02T08:59:59Z", true},
		{hoursIn("", "09:00", "17:00"), "2026-03-02T09:00:00Z", false},
		{hoursIn("", "09:00", "17:00"), "2026-03-02T16:59:59.999Z", false},
		{hoursIn("", "09:00", "17:00"), "2026-03-02T17:00:00Z", true},
		{hoursIn("", "09:00", "24:00"), "2026-03-02T23:59:59Z", false},
		{hoursIn("", "09:00", "24:00"), "2026-03-03T00:00:00Z", true},
		{hoursIn("", "00:00", "24:00", "mon"), "2026-03-02T00:00:00Z", false},
		{hoursIn("", "00:00", "24:00", "mon"), "2026-03-03T00:00:00Z", true},
		{hoursIn("", "22:00", "06:00", "mon"), "2026-03-02T05:00:00Z", true}, // Sunday's night
		{hoursIn("", "22:00", "06:00", "mon"), "2026-03-02T22:00:00Z", false},
		{hoursIn("", "22:00", "06:00", "mon"), "2026-03-03T05:59:59Z", false},
		{hoursIn("", "22:00", "06:00", "mon"), "2026-03-03T06:00:00Z", true},
		{hoursIn("", "22:00", "06:00", "mon"), "2026-03-03T22:00:00Z", true},
		{hoursIn("", "22:00", "06:00", "sun"), "2026-03-02T05:00:00Z", false},
		{hoursIn("Europe/Berlin", "09:00", "17:00"), "2026-03-28T08:00:00Z", false},
		{hoursIn("Europe/Berlin", "09:00", "17:00"), "2026-03-29T07:00:00Z", false}, // an hour earlier from this day on
		{hoursIn("Europe/Berlin", "09:00", "17:00"), "2026-03-29T15:00:00Z", true},
		{hoursIn("Europe/Berlin", "02:30", "03:00"), "2026-03-29T01:30:00Z", true}, // the hour that there is not
		{hoursIn("Europe/Berlin", "02:00", "03:00"), "2026-10-25T00:30:00Z", false},
		{hoursIn("Europe/Berlin", "02:00", "03:00"), "2026-10-25T01:30:00Z", false}, // the hour that there is twice
		{hoursIn("Atlantis/Capital", "00:00", "24:00"), "2026-03-02T12:00:00Z", true},
	} {
		at, err := time.Parse(time.RFC3339, tc.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := hoursOf(*tc.hours.OutsideHours).outside(at); got != tc.outside {
			t.Errorf("outside of %+v at %s = %t, want %t", *tc.hours.OutsideHours, tc.at, got, tc.outside)
		}
	}
}

// A policy of the most rules that there may be is judged in no time.
func BenchmarkDeniesEveryone(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	p := registry.Policy{Rules: make([]registry.Rule, 100)}
	for i := range p.Rules {
		w := registry.Conditions{ResourceTypes: types[:1+r.IntN(4)], Methods: some(r, methods...), Environments: some(r, "e-1", "e-2", "e-3")}
		w.OutsideHours = &registry.Hours{From: fmt.Sprintf("%02d:%02d", r.IntN(12), r.IntN(60)), To: "23:59", Timezone: "Europe/Berlin"}
		p.Rules[i] = deny(w)
	}
	of := reach{environments: []string{"e-1", "e-2", "e-3", "e-4"}}
	for b.Loop() {
		deniesEveryone(p, of)
	}
}
