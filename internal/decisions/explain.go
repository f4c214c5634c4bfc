package decisions

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Ask is a call that is to be explained.
type Ask struct {
	Agent    string // name or id
	Resource string
	Method   string    // "": POST, which agents mostly do
	Path     string    // below the resource
	At       time.Time // as if it were then, of the registry as it is now; zero: now
}

// Explanation is why a call is allowed or denied.
type Explanation struct {
	At       time.Time
	Decision Decision
	Checks   []Check               // the platform's
	Layers   []decide.Contribution // that apply, from the widest tier to the narrowest
	Hints    []string              // what would have to change and who can change it; what to keep in mind
}

// Check is one of the platform's checks, in words.
type Check struct {
	ID, Code string // of the reason that is given where it does not hold
	Holds    bool
	Text     string // what was asked for and what there is
}

// Explain returns why policy allows or denies the call, made with a new token that
// holds all scopes of the agent.
//
// Where the active policy is one that this server does not know, the decision is all
// that is told. It returns the errors of Access.
func (s *Service) Explain(ctx context.Context, ask Ask) (Explanation, error) {
	v, err := s.view()
	if err != nil {
		return Explanation{}, err
	}
	a, err := agentOf(v, ask.Agent)
	if err != nil {
		return Explanation{}, err
	}
	now := s.now()
	at := ask.At
	if at.IsZero() {
		at = now
	}
	q := asked(a, ask.Resource, orPost(ask.Method), segments(ask.Path))
	if !decide.Knows(v.Policy()) {
		d, err := s.evaluator.Decide(ctx, v, a.Environment, q, at)
		s.tell(ctx, v, d.Fault)
		return Explanation{At: at, Decision: d, Hints: []string{unknownPolicy(v.Policy())}}, err
	}
	t, err := s.decider.Explain(v, a.Environment, q, at, now)
	if err != nil {
		return Explanation{}, err
	}
	s.tell(ctx, v, t.Decision.Fault)
	out := Explanation{At: at, Decision: t.Decision, Layers: t.Layers, Hints: hints(t, a, ask)}
	for _, c := range t.Checks {
		out.Checks = append(out.Checks, Check{ID: c.ID, Code: c.Code, Holds: c.Holds, Text: textOf(c, t, a, q, at)})
	}
	return out, nil
}

func orPost(method string) string {
	if method == "" {
		return "POST"
	}
	return method
}

// Permitted is what an agent may do with a resource.
type Permitted struct {
	Resource registry.ResourceFacts
	Methods  []MethodDecision
}

// MethodDecision is the decision on calls with one method.
type MethodDecision struct {
	Method   string
	Decision Decision
}

// everyMethod are the methods that permissions and rules tell apart.
var everyMethod = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// Table returns what the agent may do with the resources of its environment, by name;
// ask names no resource, and of methods one or, "", all that matter. after is the last
// name of the page before, or "". limit is at least 1. A page may be short because
// time was: next, unless it is "", is where to go on.
//
// It returns the errors of Access.
func (s *Service) Table(ctx context.Context, ask Ask, after string, limit int) (rows []Permitted, next string, err error) {
	v, err := s.view()
	if err != nil {
		return nil, "", err
	}
	a, err := agentOf(v, ask.Agent)
	if err != nil {
		return nil, "", err
	}
	methods := everyMethod
	if ask.Method != "" {
		methods = []string{ask.Method}
	}
	deadline := time.Now().Add(s.scanTime)
	names := resourcesAfter(v, a.Environment, after, limit+1)
	for i, name := range names {
		if i == limit || i > 0 && time.Now().After(deadline) {
			return rows, names[i-1], nil
		}
		row := Permitted{}
		row.Resource, _ = v.Resources().Get(name)
		for _, method := range methods {
			d, err := s.decideAt(ctx, v, a.Environment, asked(a, name, method, segments(ask.Path)), ask.At)
			if err != nil {
				return nil, "", err
			}
			row.Methods = append(row.Methods, MethodDecision{method, d})
		}
		rows = append(rows, row)
	}
	return rows, "", nil
}

// decideAt decides as if it were that time, of data that is as old as it is now. The
// zero time is now.
func (s *Service) decideAt(ctx context.Context, v *snapshot.View, environment string, q Query, at time.Time) (Decision, error) {
	if at.IsZero() {
		return s.decide(ctx, v, environment, q, s.now())
	}
	if !decide.Knows(v.Policy()) {
		return s.evaluator.Decide(ctx, v, environment, q, at)
	}
	t, err := s.decider.Explain(v, environment, q, at, s.now())
	return t.Decision, err
}

// resourcesAfter are the first n names, in order, of the environment's resources that
// come after that one.
func resourcesAfter(v *snapshot.View, environment, after string, n int) []string {
	first := newFirst(n, strings.Compare)
	for name, r := range v.Resources().All() {
		if name > after && slices.Contains(r.Environments, environment) {
			first.add(name)
		}
	}
	return first.sorted()
}
