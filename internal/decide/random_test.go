package decide_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// dice draw what a test is made of.
type dice struct{ *rand.Rand }

func diceOf(seed, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

// one in n times it is so.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d dice, all ...T) T { return all[d.IntN(len(all))] }

// part is a part of all, in another order now and then.
func part[T any](d dice, all ...T) []T {
	some := []T{}
	for _, v := range all {
		if d.one(2) {
			some = append(some, v)
		}
	}
	if d.one(4) {
		d.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	}
	return some
}

// most is all but for a few.
func most[T any](d dice, all ...T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(T) bool { return d.one(16) })
}

// noon is the moment that everything lies about: in a second of its own, on a
// Wednesday.
var noon = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)

// near is a moment at which something may just have begun or ended.
func near(d dice) time.Time {
	return noon.Add(pick(d, 0, 0, time.Second, -time.Second, time.Minute, time.Hour) + pick(d, 0, 0, 1, -1, time.Microsecond))
}

// moments are those that questions are asked at: most of them near noon, and the
// changes of clocks among the others.
func moment(d dice) time.Time {
	switch d.IntN(4) {
	case 0:
		return noon.AddDate(0, 0, d.IntN(7)).Add(time.Duration(d.Int64N(int64(24 * time.Hour))))
	case 1:
		changes := []time.Time{
			time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), // Europe
			time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), // New York, Lord Howe
		}
		return pick(d, changes...).Add(time.Duration(d.IntN(180)-90)*time.Minute + pick[time.Duration](d, 0, -1, 1))
	default:
		return near(d)
	}
}

var (
	teams       = []string{"red", "blue"}
	types       = []string{"support", "batch"}
	permissions = []string{"skills:invoke", "tools:access", "data:read", "data:write", "special"}
	classes     = []string{"public", "low", "restricted"}
	kinds       = []registry.ResourceType{registry.Skill, registry.Tool, registry.DataSource, registry.DataSink, registry.Service}
	methods     = []string{"GET", "HEAD", "POST", "DELETE"}
)

// maybe is a moment or, mostly, none.
func maybe(d dice) time.Time {
	switch d.IntN(16) {
	case 0, 1:
		return near(d)
	case 2:
		return pick(d, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Unix(0, 0))
	default:
		return time.Time{}
	}
}

// facts is a registry with few names, so that they meet.
func facts(d dice, p registry.PlatformPolicy) registry.Facts {
	f := registry.Facts{Head: registry.Head{Epoch: "e1", Revision: 1000}, Scopes: map[registry.ScopePart]registry.Touch{}, Policy: p}
	for _, name := range []string{"production", "staging"} {
		staleness := pick(d, "0", "0s", "15m", "15m", "1h", "200h", "20000h", "1ns", "", "-1h")
		f.Environments = append(f.Environments, registry.EnvironmentFacts{Name: name, Grants: pick(d, "permissions", "permissions", "permissions", "explicit", "explicit", "other"), MaxStaleness: staleness})
		fresh := noon.AddDate(1, 0, 0)
		at := pick(d, fresh, fresh, fresh, fresh, fresh, fresh, fresh, fresh, fresh, noon.AddDate(0, 0, -3), noon.Add(-15*time.Minute), near(d), near(d).Add(-time.Hour), time.Time{}, time.Time{}.Add(1))
		f.Scopes[registry.ScopePart{Scope: name}] = registry.Touch{Revision: d.Int64N(1000), At: at}
	}
	for i := range pick(d, 0, 3, 6, 8, 10, 12, 15, 18) {
		f.Agents = append(f.Agents, agent(d, i))
	}
	for i := range pick(d, 0, 2, 4, 5, 6, 8, 8, 10) {
		f.Resources = append(f.Resources, resource(d, i))
	}
	if p.Layout >= 3 && !d.one(4) {
		f.Layers = layersOf(d, f)
	}
	return f
}

func agent(d dice, i int) registry.AgentFacts {
	a := registry.AgentFacts{
		ID: fmt.Sprintf("0197c000-0000-7000-8000-%012d", i), Name: fmt.Sprintf("agent-%d", i), Subject: fmt.Sprintf("agent-%d@clients", i),
		Team: pick(d, teams...), AgentType: pick(d, types...), Environment: pick(d, "production", "production", "staging"),
		Suspended: d.one(10), Scopes: append(most(d, permissions...), most(d, permissions...)...), ExpiresAt: maybe(d), ValidAfter: maybe(d),
		Labels: pick(d, nil, map[string]string{}, map[string]string{"tier": "gold", "größe": "東京"}),
	}
	switch d.IntN(40) {
	case 0:
		a.Name = ""
	case 1:
		a.Team = ""
	case 2:
		a.Scopes = nil
	case 3:
		a.Subject = ""
	}
	return a
}

func resource(d dice, i int) registry.ResourceFacts {
	r := registry.ResourceFacts{
		Name: fmt.Sprintf("resource-%d", i), Type: pick(d, kinds...), Team: pick(d, teams...), DataClassification: pick(d, classes...),
		Access: registry.Access{
			Visibility: pick(d, registry.VisibleToOrganization, registry.VisibleToOrganization, registry.VisibleToOrganization, registry.VisibleToOrganization, registry.VisibleToTeam, registry.VisibleToTeam, "other"),
			Teams:      part(d, teams...), AgentTypes: part(d, types...),
		},
		Environments: pick(d, []string{"production", "staging"}, []string{"production", "staging"}, []string{"production", "staging"}, []string{"production"}, nil), Labels: map[string]string{"n": fmt.Sprint(i)},
	}
	if d.one(5) {
		r.RequiredPermissions = part(d, permissions...)
	}
	if d.one(30) {
		r.Type = pick(d, registry.ResourceType(""), "other", "SKILL")
	}
	return r
}

// layersOf are layers of all tiers, some of them of nobody.
func layersOf(d dice, f registry.Facts) []registry.LayerFacts {
	var all []registry.LayerFacts
	add := func(tier registry.Tier, id, environment string) {
		all = append(all, layer(d, registry.LayerKey{Tier: tier, ID: id}, environment))
	}
	for i := range pick(d, 0, 0, 0, 1, 1, 2) {
		add(registry.TierGlobal, fmt.Sprintf("rules-%d", i), "")
	}
	for _, id := range part(d, append(teams, "nobody")...) {
		add(registry.TierTeam, id, "")
	}
	for _, id := range part(d, append(types, "nobody")...) {
		add(registry.TierAgentType, id, "")
	}
	for _, a := range f.Agents {
		if d.one(3) {
			add(registry.TierAgent, a.ID, pick(d, a.Environment, a.Environment, a.Environment, "staging"))
		}
	}
	return all
}

func layer(d dice, key registry.LayerKey, environment string) registry.LayerFacts {
	l := registry.LayerFacts{LayerKey: key, Environment: environment, Required: d.one(8), Revision: 7}
	for range pick(d, 0, 0, 1, 1, 2) {
		l.Rules = append(l.Rules, rule(d))
	}
	if d.one(60) {
		for i := range 40 {
			l.Rules = append(l.Rules, registry.Rule{Code: fmt.Sprintf("many_%d", i*7%40), Effect: registry.Deny})
		}
	}
	if d.one(5) {
		l.Rego, l.Previous = module(d, key), pick(d, "", module(d, key))
	}
	bounds := key.Tier == registry.TierTeam || key.Tier == registry.TierAgentType
	if bounds && d.one(5) || d.one(100) {
		l.Ceiling = &registry.Ceiling{
			Permissions:        pick(d, nil, permissions, most(d, permissions...), []string{}),
			DataClassification: pick(d, nil, nil, classes, part(d, classes...)),
		}
	}
	return l
}

// rule is mostly one that few calls meet.
func rule(d dice) registry.Rule {
	r := registry.Rule{Code: fmt.Sprintf("rule_%d", d.IntN(5)), Effect: pick(d, registry.Deny, registry.Deny, registry.Allow)}
	for range pick(d, 1, 2, 2, 3) {
		condition(d, &r.When)
	}
	switch d.IntN(60) {
	case 0:
		r.Code = pick(d, "", "Upper", "with space", "a\n", strings.Repeat("x", 64), strings.Repeat("x", 65), "ä")
	case 1:
		r.Effect = pick(d, "", registry.Effect("DENY"), "permit")
	case 2:
		r.When = registry.Conditions{}
	}
	return r
}

func condition(d dice, w *registry.Conditions) {
	switch d.IntN(9) {
	case 0:
		w.Resources = pick(d, []string{"resource-0"}, []string{"resource-1", "resource-2", "nothing"}, []string{""})
	case 1:
		w.ResourceTypes = part(d, kinds...)
	case 2:
		w.Methods = pick(d, []string{"POST"}, []string{"GET", "HEAD"}, []string{"post"}, []string{""}, []string{"STRASSE", "DELETE"})
	case 3:
		w.Environments = pick(d, []string{"production"}, []string{"staging"}, []string{""})
	case 4:
		w.DataClassification = part(d, append(classes, "")...)
	case 5:
		w.Permissions = part(d, append(permissions, "other")...)
	case 6:
		w.AgentTypes = pick(d, []string{"support"}, []string{"batch"}, []string{"", "other"})
	default:
		w.OutsideHours = hours(d)
	}
}

func hours(d dice) *registry.Hours {
	h := &registry.Hours{
		From: pick(d, "00:00", "09:00", "11:59", "12:00", "12:01", "22:00", "02:30"), To: pick(d, "17:00", "12:00", "24:00", "06:00", "12:01", "03:00"),
		Days:     pick(d, nil, nil, []string{"wed"}, []string{"mon", "tue", "wed", "thu", "fri"}, []string{"sun", "sat"}, []string{"tue"}),
		Timezone: pick(d, "", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Kiritimati"),
	}
	switch d.IntN(16) {
	case 0:
		h.Timezone = pick(d, "Mars/Olympus", "Local", "../etc/passwd")
	case 1:
		h.From = pick(d, "24:00", "24:00", "9:00", "aa:bb", "", "23:60", "25:00")
	case 2:
		h.To = pick(d, "24:01", "", "99:99", h.From)
	case 3:
		h.Days = pick(d, []string{}, []string{"Monday"}, []string{"mon", "xyz"})
	}
	return h
}

// query is a call: mostly of an agent and a resource that there are, with claims
// that are mostly as they should be.
func query(d dice, v *snapshot.View, environment string, now time.Time) decideQuery {
	subject, name := fmt.Sprintf("agent-%d@clients", d.IntN(12)), fmt.Sprintf("resource-%d", d.IntN(8))
	if n := v.Agents(environment).Len(); n > 0 && !d.one(16) {
		subject = nth(d, v.Agents(environment), n)
	}
	if n := v.Resources().Len(); n > 0 && !d.one(16) {
		name = nth(d, v.Resources(), n)
	}
	q := decideQuery{
		Claims: map[string]any{"sub": subject, "permissions": most(d, permissions...), "exp": now.Unix() + 60, "iat": now.Unix() + pick[int64](d, 0, 1, -1, 1e6)},
		Method: pick(d, methods...), Resource: name, TokenValid: !d.one(40), Path: pick(d, nil, []string{}, []string{"a"}, []string{"a", "", "b"}),
	}
	switch d.IntN(30) {
	case 0:
		q.Method = pick(d, "", "get", "Post", "straße", "\xff", "ŉ", strings.Repeat("ŉ", 256), strings.Repeat("G", 257))
	case 1:
		q.Resource = pick(d, "", "nothing", "Resource-0", "resource-0 ", "..", "\xff", "resource-0\x00")
	case 2:
		q.Path = slices.Repeat([]string{pick(d, "x", "..", "\xff", strings.Repeat("\xff", 256), strings.Repeat("a", 257))}, pick(d, 1, 63, 64, 65, 200))
	case 3, 4, 5, 6:
		claim := pick(d, "sub", "permissions", "exp", "nbf", "iat", "other", "scope")
		q.Claims[claim] = odd(d, now)
	case 7:
		delete(q.Claims, pick(d, "sub", "permissions", "exp", "iat"))
	case 8:
		q.Claims = pick(d, nil, map[string]any{})
	}
	return q
}

func nth[V any](d dice, m *snapshot.Map[V], n int) string {
	names := make([]string, 0, n)
	for name := range m.All() {
		names = append(names, name)
	}
	slices.Sort(names)
	return pick(d, names...)
}
