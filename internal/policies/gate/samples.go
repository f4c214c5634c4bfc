package gate

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	drawn    = 400 // sample requests that are drawn
	literals = 500 // strings of the module that they are drawn from, at most
)

// sample is a request that a layer is tried with.
type sample struct {
	fields map[string]any
	at     time.Time
	known  bool // of an agent and a resource that the registry knows: it might be allowed
}

// ordinary are values that requests have, by field.
var ordinary = map[string][]string{
	"method":              {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", ""},
	"path":                {"say-hello", "reports", "v1", "42"},
	"permissions":         {"skills:invoke", "tools:access", "data:read", "data:write"},
	"environment":         {"production", "staging", "development"},
	"team":                {"customer-success", "platform", "finance"},
	"agent_type":          {"support", "batch", "research"},
	"type":                {"skill", "tool", "data_source", "data_sink", "service"},
	"data_classification": {"public", "low", "medium", "high", "restricted"},
	"visibility":          {"team", "organization"},
	"name":                {"hello-skill", "billing-system", "reports"},
	"id":                  {"0197a5b0-0000-7000-8000-000000000001", "0197a5b0-0000-7000-8000-000000000002"},
	"label":               {"cost-center", "tier"},
}

// sampler draws requests that a layer may meet: ordinary ones, with the strings that
// the module itself mentions among their values, since those are what its rules ask
// for. The same module always meets the same requests.
type sampler struct {
	key   registry.LayerKey
	words []string            // that the module mentions
	about map[string][]string // those beside a field of the request, by its name
	rand  *rand.Rand
}

func newSampler(key registry.LayerKey, m *ast.Module) *sampler {
	s := &sampler{key: key, about: map[string][]string{}, rand: rand.New(rand.NewPCG(1, 2))} // the same for everybody
	for _, r := range m.Rules {
		if ruleName(r) == "meta" {
			continue // it says nothing of requests
		}
		s.words = append(s.words, words(r)...)
		ast.WalkExprs(r, func(e *ast.Expr) bool {
			ast.WalkRefs(e, func(ref ast.Ref) bool {
				if field := lastName(ref); ordinary[field] != nil {
					s.about[field] = append(s.about[field], words(e)...)
				}
				return false
			})
			return false
		})
	}
	s.words = s.words[:min(len(s.words), literals)]
	return s
}

// words are the strings in a rule or an expression, but for names of fields.
func words(x any) (found []string) {
	ast.WalkTerms(x, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			for _, key := range v[1:] {
				if _, isField := ordinary[strings.Trim(key.String(), `"`)]; !isField {
					found = append(found, words(key)...)
				}
			}
			return true
		case ast.String:
			if v != "" && len(v) <= textBytes {
				found = append(found, string(v))
			}
		}
		return false
	})
	return found
}

// samples are all the requests that the layer is tried with.
func (s *sampler) samples() []sample {
	var list []sample
	for _, size := range []int{0, most} {
		list = append(list, s.extreme(size))
	}
	for range drawn {
		list = append(list, s.draw())
	}
	unknown := s.draw()
	unknown.known = false
	delete(unknown.fields, "resource") // not in the registry
	list = append(list, unknown)
	if s.key.Tier == registry.TierGlobal { // the layers of an unknown agent do not apply
		list = append(list, sample{fields: map[string]any{}, at: epoch})
	}
	return list
}

// epoch is a Monday, 00:00 UTC.
var epoch = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// one draws a value of a field: one that the module asks of it, any of its words, or
// an ordinary one.
func (s *sampler) one(field string) string {
	from := ordinary[field]
	switch draw := s.rand.IntN(4); {
	case draw < 2 && len(s.about[field]) > 0:
		from = s.about[field]
	case draw < 3 && len(s.words) > 0:
		from = s.words
	}
	return from[s.rand.IntN(len(from))]
}

func (s *sampler) some(field string) []any {
	list := []any{}
	for range s.rand.IntN(4) {
		list = append(list, s.one(field))
	}
	return list
}

func (s *sampler) labels() map[string]any {
	m := map[string]any{}
	for range s.rand.IntN(3) {
		m[s.one("label")] = s.one("label")
	}
	return m
}

// moment is a time of agents that may have one, in nanoseconds, or null.
func (s *sampler) moment(now time.Time) any {
	if s.rand.IntN(2) == 0 {
		return nil
	}
	return now.Add(time.Duration(s.rand.IntN(1000)-500) * time.Hour).UnixNano()
}

func (s *sampler) draw() sample {
	now := epoch.Add(time.Duration(s.rand.IntN(366*24*60)) * time.Minute)
	environment := s.one("environment")
	agent := map[string]any{
		"id": s.one("id"), "name": s.one("name"), "team": s.one("team"), "agent_type": s.one("agent_type"), "environment": environment,
		"suspended": false, "scopes": s.some("permissions"), "expires_at": s.moment(now), "valid_after": s.moment(now), "labels": s.labels(),
	}
	resource := map[string]any{
		"name": s.one("name"), "type": s.one("type"), "team": s.one("team"), "data_classification": s.one("data_classification"),
		"required_permissions": s.some("permissions"), "environments": []any{environment}, "labels": s.labels(),
		"access": map[string]any{"visibility": s.one("visibility"), "teams": s.some("team"), "agent_types": s.some("agent_type")},
	}
	s.pin(agent)
	return sample{at: now, known: true, fields: map[string]any{
		"method": s.one("method"), "path": s.some("path"), "subject": "client@clients", "permissions": s.some("permissions"),
		"environment": environment, "agent": agent, "resource": resource,
	}}
}

// pin makes the agent one to which the layer applies.
func (s *sampler) pin(agent map[string]any) {
	switch s.key.Tier {
	case registry.TierTeam:
		agent["team"] = s.key.ID
	case registry.TierAgentType:
		agent["agent_type"] = s.key.ID
	case registry.TierAgent:
		agent["id"] = s.key.ID
	}
}

// extreme is a request of which every collection has n elements, and with n > 0
// long strings.
func (s *sampler) extreme(n int) sample {
	x := s.draw()
	x.known = false // nobody sends it
	word := func(i int) string {
		w := strings.Repeat("a", min(n, 8)*16) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if i < len(s.words) {
			w = s.words[i]
		}
		return w
	}
	list, labels := []any{}, map[string]any{}
	for i := range n {
		list = append(list, word(i))
		labels[word(i)] = word(n - i)
	}
	agent, resource := x.fields["agent"].(map[string]any), x.fields["resource"].(map[string]any)
	x.fields["path"], x.fields["permissions"], agent["scopes"], agent["labels"], resource["labels"] = list, list, list, labels, labels
	resource["required_permissions"], resource["environments"] = list, list
	resource["access"] = map[string]any{"visibility": "team", "teams": list, "agent_types": list}
	return x
}
