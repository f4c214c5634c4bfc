package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/local"
)

// samples is how many changes are timed of each kind.
const samples = 60

// crowded is a world with so many agents beside the one that is returned.
func crowded(b *testing.B, agents int) (w *world, claims map[string]any) {
	b.Helper()
	w = newWorld(b)
	w.seedResources()
	w.as(w.admin).put("/teams/"+team, `{"max_agents": 1000000}`).want(b, 201)
	first := w.as(w.developer).register(registration("first", nil))
	claims = w.claimsOf(w.agentToken(first))
	w.stop(b)
	w.execute(fmt.Sprintf(manyAgentsSQL, agents))
	w.execute("ANALYZE agents")
	w.start("CREDENCE_SWEEP_INTERVAL", "0s", "CREDENCE_HEARTBEAT_INTERVAL", "1h", "CREDENCE_LOG_LEVEL", "INFO")
	return w, claims
}

// BenchmarkChangeToOPA times from the request that changes something until a real OPA
// decides by it, with the bundle as a whole and in parts: a suspension, which is in an
// agents' part, and a resource. put-ms is how long the request itself took.
func BenchmarkChangeToOPA(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		w, claims := crowded(b, agents)
		for _, form := range []string{"whole", "parts"} {
			b.Run(fmt.Sprintf("agents=%d/%s", agents, form), func(b *testing.B) {
				w := w.in(b)
				opa := w.startOPAWith("http://"+w.api, func(o *local.OPAOptions) {
					o.LongPoll = 30 * time.Second
					if form == "parts" {
						o.Discovery = "bundles/production/discovery/parts"
					}
				})
				opa.becomesWithin(time.Minute, claims, "hello-skill", "allow")
				for b.Loop() {
					w.timeChanges(b, opa, claims)
				}
			})
		}
	}
}

func (w *world) timeChanges(b *testing.B, opa policyServer, claims map[string]any) {
	b.Helper()
	var resources, suspensions, puts []time.Duration
	for i := range samples {
		visibility, want := "team", "platform/access_denied"
		if i%2 == 1 {
			visibility, want = "organization", "allow"
		}
		took, request := w.timed(b, opa, claims, want, func() { w.setVisibility(visibility) })
		resources, puts = append(resources, took), append(puts, request)
	}
	for range samples / 2 {
		took, _ := w.timed(b, opa, claims, "platform/agent_suspended", func() {
			w.as(w.developer).post("/agents/first/suspend", `{"reason": "timed"}`).want(b, 200)
		})
		suspensions = append(suspensions, took)
		w.as(w.developer).post("/agents/first/resume", `{"reason": "timed"}`).want(b, 200)
		opa.becomesWithin(time.Minute, claims, "hello-skill", "allow")
	}
	report(b, "resource", resources)
	report(b, "suspend", suspensions)
	report(b, "put", puts)
}

// timed makes the change and returns how long it was from then until OPA decided as
// wanted, and until the change was answered.
func (w *world) timed(b *testing.B, opa policyServer, claims map[string]any, want string, change func()) (visible, answered time.Duration) {
	b.Helper()
	began := time.Now()
	done := make(chan time.Duration, 1)
	go func() {
		change()
		done <- time.Since(began)
	}()
	for codesOf(opa.decide(claims, "POST", "hello-skill")) != want {
		if time.Since(began) > time.Minute {
			b.Fatalf("OPA does not say %s", want)
		}
	}
	visible = time.Since(began)
	return visible, <-done
}

func report(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), what+"-p50-ms")
	b.ReportMetric(at(0.99), what+"-p99-ms")
}

// BenchmarkChangeToFollower times from the request until a follower of the change feed
// shows the change, over HTTP.
func BenchmarkChangeToFollower(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			w, _ := crowded(b, agents)
			f := w.feedFollower()
			for b.Loop() {
				var visible, answered []time.Duration
				for i := range 4 * samples {
					visibility := []string{"team", "organization"}[i%2]
					began := time.Now()
					done := make(chan time.Duration, 1)
					go func() {
						w.setVisibility(visibility)
						done <- time.Since(began)
					}()
					for {
						changed := f.Changed()
						if r, _ := f.View().Resources().Get("hello-skill"); r.Access.Visibility == visibility {
							break
						}
						ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
						select {
						case <-changed:
						case <-ctx.Done():
							b.Fatal("the change did not come")
						}
						cancel()
					}
					visible = append(visible, time.Since(began))
					answered = append(answered, <-done)
				}
				report(b, "visible", visible)
				report(b, "put", answered)
			}
		})
	}
}
