package agents_test

import (
	"context"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// operation is one thing that somebody can ask of the agent support-triage.
type operation struct {
	name string
	// from is the state that it begins with.
	from func(w *world)
	run  func(ctx context.Context, w *world, s *agents.Service) (agents.Registered, error)
}

// theOperations are all that change an agent.
var theOperations = []operation{
	{"register", absent, func(ctx context.Context, w *world, s *agents.Service) (agents.Registered, error) {
		return s.Register(ctx, ana, w.triage())
	}},
	{"change", ready, func(ctx context.Context, w *world, s *agents.Service) (agents.Registered, error) {
		r := w.triage()
		r.Scopes, r.AgentType, r.TypeRevision = &[]string{"data:read"}, "sales", w.typeRevision("sales")
		return only(s.Change(ctx, admin, r.Name, some, r))
	}},
	{"suspend", ready, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return only(s.Suspend(ctx, admin, "support-triage", some, agents.Switch{Reason: "leaked"}))
	}},
	{"resume", suspended, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return only(s.Resume(ctx, admin, "support-triage", some, agents.Switch{}))
	}},
	{"resume, revoking tokens", suspended, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return only(s.Resume(ctx, admin, "support-triage", some, agents.Switch{RevokeTokens: true}))
	}},
	{"transfer", ready, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return only(s.Transfer(ctx, admin, "support-triage", some, agents.Transfer{Team: "platform"}))
	}},
	{"rotate", ready, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return s.Rotate(ctx, admin, "support-triage", some, agents.Rotation{})
	}},
	{"turn to keys", ready, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return s.Rotate(ctx, admin, "support-triage", some, agents.Rotation{Keys: []byte(`{"keys": []}`), ExpiresAt: farOff})
	}},
	{"decommission", ready, func(ctx context.Context, _ *world, s *agents.Service) (agents.Registered, error) {
		return only(s.Decommission(ctx, admin, "support-triage", some, false))
	}},
}

var farOff = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)

func only(a registry.Agent, err error) (agents.Registered, error) {
	return agents.Registered{Agent: a}, err
}

func absent(*world) {}

func ready(w *world) { w.mustRegister() }

func suspended(w *world) {
	ready(w)
	if _, err := w.service.Suspend(w.request(), admin, "support-triage", some, agents.Switch{Reason: "leaked"}); err != nil {
		w.t.Fatal(err)
	}
}

// sweepAway removes what a subtest has left, for the next on the same world.
func (w *world) sweepAway() {
	w.t.Helper()
	w.script.forget()
	for _, a := range w.everyAgent() {
		if a.Lifecycle == registry.Decommissioned {
			continue
		}
		if _, err := w.service.Decommission(w.request(), admin, a.ID, some, false); err != nil {
			w.t.Fatal(err)
		}
	}
	w.converge()
	w.wantNothingLeft()
	for _, a := range w.everyAgent() {
		w.swept = max(w.swept, a.ID)
	}
}

// course runs the operation once and returns what it does at the providers and in
// the store when nothing comes between.
func (w *world) course(o operation) []string {
	w.t.Helper()
	o.from(w)
	w.script.operations()
	if _, err := o.run(w.request(), w, w.service); err != nil {
		w.t.Fatalf("%s = %v", o.name, err)
	}
	course := w.script.operations()
	w.sweepAway()
	return course
}

// atNth runs f around the n-th operation from now on, which is called op.
func (w *world) atNth(n int, a around) {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	w.script.all = func(ctx context.Context, _ string, call func() error) error {
		if n--; n == -1 {
			return a(ctx, call)
		}
		return call()
	}
}
