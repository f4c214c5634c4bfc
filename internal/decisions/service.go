package decisions

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const (
	// forever is when the tokens that we think of are issued and expire: at the
	// end of 9999. None of them was revoked.
	forever = 253402300799
	// scanned and scanTime bound the work of one page of callers.
	scanned  = 2000
	scanTime = 500 * time.Millisecond
)

// Service answers who may call what, for programs and for people who want to
// know why. It is safe for concurrent use.
type Service struct {
	registry  interface{ View() *snapshot.View }
	evaluator *Evaluator
	log       *slog.Logger
	scanned   int
	scanTime  time.Duration
}

// NewService returns a Service that reads the views of r. *snapshot.Follower
// implements it.
func NewService(r interface{ View() *snapshot.View }, e *Evaluator, log *slog.Logger) *Service {
	return &Service{registry: r, evaluator: e, log: log, scanned: scanned, scanTime: scanTime}
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
	a, ok := v.Agent(agentRef)
	if !ok {
		return Decision{}, registry.NotFound.Errorf("not_found", "there is no agent of that name or id")
	}
	d, err := s.decide(ctx, v, a, resource, method, segments(path))
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
	deadline := time.Now().Add(s.scanTime)
	last := after
	var fault error // the first: one policy fails in one way, and a page asks it often
	defer func() { s.tell(ctx, v, fault) }()
	for i, name := range namesAfter(v, after, s.scanned+1) {
		if len(callers) >= limit || i >= s.scanned || i > 0 && time.Now().After(deadline) {
			return callers, last, nil
		}
		a, _ := v.Agent(name)
		d, err := s.decide(ctx, v, a, resource, method, nil)
		if err != nil {
			return nil, "", err
		}
		fault = cmp.Or(fault, d.Fault)
		if d.Allow {
			callers = append(callers, a)
		}
		last = name
	}
	return callers, "", nil
}

func (s *Service) view() (*snapshot.View, error) {
	v := s.registry.View()
	if v == nil {
		return nil, snapshot.NotLoaded()
	}
	return v, nil
}

func (s *Service) decide(ctx context.Context, v *snapshot.View, a registry.AgentFacts, resource, method string, path []string) (Decision, error) {
	permissions := a.Scopes
	if permissions == nil {
		permissions = []string{}
	}
	return s.evaluator.Decide(ctx, v, a.Environment, Query{
		Claims:     map[string]any{"sub": a.Subject, "permissions": permissions, "iat": forever, "exp": forever},
		TokenValid: true,
		Method:     method,
		Path:       path,
		Resource:   resource,
	})
}

// tell logs that policy gave no usable answer, which denies everybody.
func (s *Service) tell(ctx context.Context, v *snapshot.View, fault error) {
	if fault != nil {
		s.log.ErrorContext(ctx, "the platform policy gave no usable answer, which denies", "policy", v.Policy().Hash, "error", fault)
	}
}

// namesAfter are the first n of the names, in order, of the agents that come
// after that name. It keeps few of them while it looks at all.
func namesAfter(v *snapshot.View, after string, n int) []string {
	var names []string
	last := "" // of the first n so far, once there were as many
	for _, environment := range v.EnvironmentNames() {
		for _, a := range v.Agents(environment).All() {
			if a.Name <= after || last != "" && a.Name > last {
				continue
			}
			if names = append(names, a.Name); len(names) == 2*n {
				slices.Sort(names)
				names = names[:n]
				last = names[n-1]
			}
		}
	}
	slices.Sort(names)
	return names[:min(len(names), n)]
}

// segments are the parts of a URL's path.
func segments(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
