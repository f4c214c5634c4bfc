package decisions

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const (
	// forever is when the tokens that we think of are issued and expire: at the
	// end of 9999. None of them was revoked.
	forever = 253402300799
	// scanned and scanTime bound the work of one page of callers.
	scanned  = 20_000
	scanTime = 500 * time.Millisecond
	// windows is how many agents are found for each caller that is wanted, and how
	// many times more when these were too few: finding looks at all agents.
	windows = 8
)

// Service answers who may call what, for programs and for people who want to
// know why. It is safe for concurrent use.
type Service struct {
	registry  interface{ View() *snapshot.View }
	decider   *decide.Decider
	evaluator *Evaluator
	log       *slog.Logger
	now       func() time.Time
	scanned   int
	scanTime  time.Duration
}

// NewService returns a Service that reads the views of r. Policies that d knows are
// decided by d, and others by e. *snapshot.Follower implements r.
func NewService(r interface{ View() *snapshot.View }, d *decide.Decider, e *Evaluator, log *slog.Logger) *Service {
	return &Service{registry: r, decider: d, evaluator: e, log: log, now: time.Now, scanned: scanned, scanTime: scanTime}
}

// Access returns what policy says when the agent, given by name or id, calls the
// resource with a new token that holds all scopes it is registered with. That
// there is no such resource is a decision too.
//
// It returns NotFound when there is no such agent, and otherwise the errors of
// Evaluator.Decide; before the registry was loaded it returns Unavailable.
func (s *Service) Access(ctx context.Context, agentRef, resource, method, path string) (Decision, error) {
	v, err := s.view()
	if err != nil {
		return Decision{}, err
	}
	a, err := agentOf(v, agentRef)
	if err != nil {
		return Decision{}, err
	}
	d, err := s.decide(ctx, v, a.Environment, asked(a, resource, method, segments(path)), s.now())
	s.tell(ctx, v, d.Fault)
	return d, err
}

// Callers returns the agents that may call the resource with the method now, by
// name. after is the last name of the page before, or "". limit is at least 1.
//
// Who may call is known only by asking policy about each agent in turn, so one
// call looks at a bounded number of them: next, unless it is "", is where to go
// on, even when fewer than limit agents were found, or none.
//
// It returns NotFound when there is no such resource, and otherwise the errors
// of Access.
func (s *Service) Callers(ctx context.Context, resource, method, after string, limit int) (callers []registry.AgentFacts, next string, err error) {
	v, err := s.view()
	if err != nil {
		return nil, "", err
	}
	if _, ok := v.Resources().Get(resource); !ok {
		return nil, "", registry.NotFound.Errorf("not_found", "there is no resource of that name")
	}
	now := s.now()
	deadline := time.Now().Add(s.scanTime)
	last := after
	var fault error // the first: one policy fails in one way, and a page asks it often
	defer func() { s.tell(ctx, v, fault) }()
	for window, looked := windows*limit, 0; ; window *= windows {
		window = min(window, s.scanned+1)
		next := agentsAfter(v, last, window)
		for _, c := range next {
			if len(callers) >= limit || looked >= s.scanned || looked > 0 && time.Now().After(deadline) {
				return callers, last, nil
			}
			a, _ := v.Agents(c.environment).Get(c.subject)
			d, err := s.decide(ctx, v, a.Environment, asked(a, resource, method, nil), now)
			if err != nil {
				return nil, "", err
			}
			if fault = cmp.Or(fault, d.Fault); d.Allow {
				callers = append(callers, a)
			}
			last = c.name
			looked++
		}
		if len(next) < window {
			return callers, "", nil
		}
	}
}

func (s *Service) view() (*snapshot.View, error) {
	v := s.registry.View()
	if v == nil {
		return nil, snapshot.NotLoaded()
	}
	return v, nil
}

func agentOf(v *snapshot.View, ref string) (registry.AgentFacts, error) {
	a, ok := v.Agent(ref)
	if !ok {
		return registry.AgentFacts{}, registry.NotFound.Errorf("not_found", "there is no agent of that name or id")
	}
	return a, nil
}

// asked is the agent's call with a new token that holds all of its scopes.
func asked(a registry.AgentFacts, resource, method string, path []string) Query {
	permissions := a.Scopes
	if permissions == nil {
		permissions = []string{}
	}
	return Query{
		Claims:     map[string]any{"sub": a.Subject, "permissions": permissions, "iat": forever, "exp": forever},
		TokenValid: true,
		Method:     method,
		Path:       path,
		Resource:   resource,
	}
}

// decide decides as Go where the policy is one that we know, and else by its Rego.
func (s *Service) decide(ctx context.Context, v *snapshot.View, environment string, q Query, now time.Time) (Decision, error) {
	if decide.Knows(v.Policy()) {
		return s.decider.Decide(v, environment, q, now)
	}
	return s.evaluator.Decide(ctx, v, environment, q, now)
}

// tell logs that policy gave no usable answer, which denies everybody.
func (s *Service) tell(ctx context.Context, v *snapshot.View, fault error) {
	if fault != nil {
		s.log.ErrorContext(ctx, "the policy gave no usable answer, which denies", "policy", v.Policy().Hash, "error", fault)
	}
}

// found is an agent, and where in a view it stands.
type found struct{ name, environment, subject string }

// agentsAfter are the first n, by name, of the agents whose names come after that
// one.
func agentsAfter(v *snapshot.View, after string, n int) []found {
	first := newFirst(n, func(a, b found) int { return strings.Compare(a.name, b.name) })
	for _, environment := range v.EnvironmentNames() {
		for subject, a := range v.Agents(environment).All() {
			if a.Name > after {
				first.add(found{a.Name, environment, subject})
			}
		}
	}
	return first.sorted()
}

// segments are the parts of a URL's path.
func segments(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
