package policies

import (
	"math/big"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// reach is which calls a policy judges.
type reach struct {
	environments []string // that the agents can be in
	agentType    string   // of all the agents; "": any
}

// deniesEveryone reports whether the policy's rules and ceiling leave no call
// alone, whatever resource it is of and whenever it comes. Rego is not looked into.
//
// A call that rules do not name is harder to deny than one that they do, so it is
// enough to look at those: of a resource and by an agent type that no rule lists,
// and by an agent that has no permission but the one its call needs.
func deniesEveryone(p registry.Policy, r reach) bool {
	rules := denying(p.Rules, r)
	var kinds, places []*big.Int
	for _, k := range kindsOfCalls(p.Ceiling) {
		kinds = append(kinds, holding(rules, k.meets))
	}
	for _, e := range r.environments {
		places = append(places, holding(rules, func(w registry.Conditions) bool { return lists(w.Environments, e) }))
	}
	if len(places) == 0 { // then in one that has no name yet
		places = append(places, holding(rules, func(w registry.Conditions) bool { return w.Environments == nil }))
	}
	kinds, places, times := distinct(kinds), distinct(places), holdingAt(rules)
	var both, all big.Int
	for _, kind := range kinds {
		for _, place := range places {
			both.And(kind, place)
			for _, at := range times {
				if all.And(&both, at).Sign() == 0 {
					return false
				}
			}
		}
	}
	return true
}

// denying are the conditions of the rules that can deny a call which they do not
// name. What they say of the agent's type is settled by that.
func denying(rules []registry.Rule, r reach) []registry.Conditions {
	var all []registry.Conditions
	for _, rule := range rules {
		w := rule.When
		named := w.Resources != nil || (w.AgentTypes != nil && !slices.Contains(w.AgentTypes, r.agentType))
		if rule.Effect == registry.Deny && !named {
			all = append(all, w)
		}
	}
	return all
}

// holding is the set, by number, of those conditions of which holds is true.
func holding(all []registry.Conditions, holds func(registry.Conditions) bool) *big.Int {
	set := new(big.Int)
	for i, w := range all {
		if holds(w) {
			set.SetBit(set, i, 1)
		}
	}
	return set
}

// distinct are the sets, each once. It changes the list that it is given.
func distinct(sets []*big.Int) []*big.Int {
	slices.SortFunc(sets, (*big.Int).Cmp)
	return slices.CompactFunc(sets, func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
}

// lists reports whether a condition that lists values holds of one. nil is none.
func lists[S ~string](list []S, value S) bool { return list == nil || slices.Contains(list, value) }

// kind is a kind of calls.
type kind struct {
	resourceType   registry.ResourceType
	method         string
	classification string
	permission     string // that the type asks for; "": none
}

func (k kind) meets(w registry.Conditions) bool {
	return lists(w.ResourceTypes, k.resourceType) && lists(w.Methods, k.method) && lists(w.DataClassification, k.classification) &&
		lists(w.Permissions, k.permission)
}

var (
	types           = []registry.ResourceType{registry.Skill, registry.Tool, registry.DataSource, registry.DataSink, registry.Service}
	methods         = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} // those that operations have
	classifications = []string{"public", "low", "medium", "high", "restricted"}
)

// kindsOfCalls are those that the ceiling leaves alone. One without any permission
// grants nothing: that some resources ask for none does not make it one to pass by.
func kindsOfCalls(c *registry.Ceiling) []kind {
	if c == nil {
		c = &registry.Ceiling{}
	}
	if c.Permissions != nil && len(c.Permissions) == 0 {
		return nil
	}
	var all []kind
	for _, t := range types {
		for _, m := range methods {
			permission := asked(t, m)
			if permission != "" && !lists(c.Permissions, permission) {
				continue
			}
			for _, classification := range classifications {
				if lists(c.DataClassification, classification) {
					all = append(all, kind{t, m, classification, permission})
				}
			}
		}
	}
	return all
}

// asked is the permission that a resource's type asks for.
func asked(t registry.ResourceType, method string) string {
	switch {
	case t == registry.Skill:
		return "skills:invoke"
	case t == registry.Tool:
		return "tools:access"
	case t == registry.DataSource && (method == "GET" || method == "HEAD"):
		return "data:read"
	case t == registry.DataSource || t == registry.DataSink:
		return "data:write"
	default:
		return ""
	}
}

// holdingAt is which of the rules hold at the times at which the fewest do: the
// beginnings of hours, since as many hours as ever are at once are so when the last
// of them begins.
func holdingAt(rules []registry.Conditions) []*big.Int {
	read := make([]hours, len(rules))
	times := []time.Time{weeks[0]}
	for i, w := range rules {
		if w.OutsideHours != nil {
			read[i] = hoursOf(*w.OutsideHours)
			times = append(times, read[i].beginnings()...)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	times = slices.CompactFunc(times, time.Time.Equal)
	sets := make([]*big.Int, 0, len(times))
	for _, at := range times {
		set := new(big.Int)
		for i, w := range rules {
			if w.OutsideHours == nil || read[i].outside(at) {
				set.SetBit(set, i, 1)
			}
		}
		sets = append(sets, set)
	}
	return distinct(sets)
}
