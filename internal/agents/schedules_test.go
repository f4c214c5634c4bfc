package agents_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var schedules = flag.Int("schedules", 200, "how many random schedules to run")

// TestMain gives the random schedules their number, and seeds that are the same
// each time; -rapid.seed is for others.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(*schedules), "rapid.seed": "1", "rapid.nofailfile": "true"} {
		given := false
		flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
		if given {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// Random operations on two replicas, interleaved at random, with random faults,
// crashes and pauses past the lease: at no step anybody is told that an agent is
// ready, suspended or gone while the providers or policy disagree, no change is
// forgotten, and once the faults stop every agent ends as was asked for, with one
// client, and no secret works that is not the last.
func TestInvariant_C2_EveryScheduleConverges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	w.putTeam(registry.Team{Name: "customer-success", MaxAgents: 1_000_000})
	w.putTeam(registry.Team{Name: "platform", MaxAgents: 1_000_000})
	rapid.Check(t, func(rt *rapid.T) {
		w.begin(rt)
		beginnings[rapid.SampledFrom(slices.Sorted(maps.Keys(beginnings))).Draw(rt, "beginning")](w)
		s := newScheduler(w)
		defer s.drain(dies) // whoever is left when it fails
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			s.step(rt)
			w.wantPassDue()
			if rt.Failed() {
				rt.FailNow()
			}
		}
		s.drain(goes)
		s.land()
		w.script.forget()
		w.converge()
		s.wantLastSecretsWork()
		w.sweepAway()
	})
	w.begin(t)
	w.wantNoSecret("an answer", "")
}

// beginnings are what there may be of the agent when a schedule begins.
var beginnings = map[string]func(*world){
	"nothing": absent, "a ready agent": ready, "a suspended agent": suspended,
	"an agent with a key": func(w *world) {
		if _, err := w.service.Register(w.request(), ana, w.keyed()); err != nil {
			w.t.Fatal(err)
		}
		w.afterTheGap()
	},
}

// begin makes the world ready for another schedule, whatever the last has left.
func (w *world) begin(t tb) {
	w.t, w.script.t = t, t
	w.script.forget()
	for _, a := range w.everyAgent() {
		w.swept = max(w.swept, a.ID)
	}
	w.exec(`UPDATE agents SET due_at = NULL WHERE due_at IS NOT NULL`)
	w.exec(`UPDATE agents SET name = id::text WHERE lifecycle = 'active'`)
	w.exec(`DELETE FROM idempotency_keys`)
	w.tenant.clear()
	w.secrets.clear()
}

// step does one thing at random: mostly, somebody who is under way goes on.
func (s *scheduler) step(rt *rapid.T) {
	kinds := []string{"time passes", "time passes", "a while passes", "what was sent arrives", "the gap passes"}
	if len(s.actors) < 4 {
		kinds = append(kinds, "begin", "begin", "repeat", "loop", "loop")
	}
	if len(s.actors) > 0 {
		kinds = append(kinds, slices.Repeat([]string{"go on"}, 20)...)
	}
	switch rapid.SampledFrom(kinds).Draw(rt, "step") {
	case "go on":
		a := s.actors[rapid.IntRange(0, len(s.actors)-1).Draw(rt, "of")]
		rt.Logf("%s, before %s", a.name, a.at)
		s.move(a, rapid.SampledFrom(a.fates()).Draw(rt, "it"))
	case "begin":
		o := theOperations[rapid.IntRange(0, len(theOperations)-1).Draw(rt, "to")]
		rt.Logf("to %s", o.name)
		s.start(o.name, func(ctx context.Context) (agents.Registered, error) { return o.run(ctx, s.w, s.w.service) })
	case "repeat":
		s.start("register with a key", s.keyed)
	case "loop":
		s.start("loop", s.loop)
	case "time passes":
		s.freeze()
	case "a while passes":
		s.freeze()
		s.land()
		s.w.settle()
	case "what was sent arrives":
		s.land()
	case "the gap passes":
		s.w.afterTheGap()
	}
}

func (s *scheduler) keyed(ctx context.Context) (agents.Registered, error) {
	return s.w.other.Register(ctx, ana, s.w.keyed())
}

// loop is what a replica does once a second.
func (s *scheduler) loop(ctx context.Context) (agents.Registered, error) {
	claims, err := scriptedStore{s.w.store, s.w.script}.ClaimAgents(ctx, patient.Lease, 1)
	if err != nil || len(claims) == 0 {
		return agents.Registered{}, err
	}
	return agents.Registered{}, s.w.other.Reconcile(ctx, claims[0])
}

// wantLastSecretsWork checks the answers: who has the secret of the credentials
// that the agent has now has one that works, unless a later one was lost on the
// way; who has another has none.
func (s *scheduler) wantLastSecretsWork() {
	s.w.t.Helper()
	for _, a := range s.answers {
		if _, ok := registry.AsError(a.err); a.err != nil && !ok && !errors.Is(a.err, registry.ErrLeaseLost) {
			s.w.t.Errorf("%s is told %v", a.actor, a.err)
		}
		if a.got.Credentials == nil || a.got.Credentials.ClientSecret == "" {
			continue
		}
		now := s.w.agent(a.got.Agent.ID)
		last := a.got.Agent.CredentialGeneration == now.CredentialGeneration
		if works := s.w.tenant.works(*a.got.Credentials); works && !last {
			s.w.t.Errorf("%s has a secret of generation %d that works, the agent is at %d", a.actor, a.got.Agent.CredentialGeneration, now.CredentialGeneration)
		} else if !works && last && now.IsReady() && now.Authentication == registry.ClientSecretPost && s.known(now) {
			s.w.t.Errorf("%s has the secret of generation %d, and another works", a.actor, now.CredentialGeneration)
		}
	}
}

// known reports whether somebody was given the secret that works now.
func (s *scheduler) known(a registry.Agent) bool {
	return slices.ContainsFunc(s.answers, func(o answer) bool {
		return o.got.Credentials != nil && o.got.Agent.ID == a.ID && s.w.tenant.works(*o.got.Credentials)
	})
}
