package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// BenchmarkRegistration is one POST /agents after the other, over HTTP, with the
// real adapters on a real PostgreSQL (which waits for no disk), a real OpenBao and
// the emulated tenant: one that answers at once, and one that takes as long as
// Auth0 was measured to. It reports the median of the whole, of what we add to the
// providers' calls (HTTP, authentication, schemas, the transactions that record the
// agent and note its steps), and which share of the time each step took.
func BenchmarkRegistration(b *testing.B) {
	for _, bb := range []struct {
		name      string
		latencies map[string]time.Duration
		batch     int // registrations that make one operation
	}{
		{"at-once", nil, 1},
		{"as-recorded", map[string]time.Duration{"POST clients": 550 * time.Millisecond, "POST client-grants": 380 * time.Millisecond}, 5},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newBenchSystem(b, bb.latencies)
			for i := range 10 { // warm up: connections, tokens, prepared statements
				s.register(b, fmt.Sprintf("warm-%d", i))
			}
			s.steps.reset()
			var took, ours []time.Duration
			for i := 0; b.Loop(); i++ {
				for j := range bb.batch {
					began, calls := time.Now(), s.steps.calls()
					s.register(b, fmt.Sprintf("agent-%d-%d", i, j))
					whole := time.Since(began)
					took = append(took, whole)
					ours = append(ours, whole-(s.steps.calls()-calls))
				}
			}
			reportRegistrations(b, s, took, ours)
		})
	}
}

func reportRegistrations(b *testing.B, s *benchSystem, took, ours []time.Duration) {
	b.Helper()
	var total, added time.Duration
	for i := range took {
		total, added = total+took[i], added+ours[i]
	}
	slices.Sort(took)
	slices.Sort(ours)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	b.ReportMetric(milliseconds(p50), "p50-ms")
	b.ReportMetric(milliseconds(p99), "p99-ms")
	b.ReportMetric(milliseconds(ours[len(ours)/2]), "added-p50-ms")
	b.ReportMetric(float64(total)/float64(total-added), "whole/calls")

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "step\tmean ms\tshare %%\t\n")
	row := func(name string, d time.Duration) {
		share := 100 * float64(d) / float64(total)
		b.ReportMetric(share, name+"-%")
		fmt.Fprintf(w, "%s\t%.2f\t%.1f\t\n", name, milliseconds(d)/float64(len(took)), share)
	}
	rest := total
	for _, step := range registry.Steps {
		spent := s.steps.spent(step)
		rest -= spent
		row(shortName[step], spent)
	}
	row("rest", rest)
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d registrations: p50 %.2f ms, p99 %.2f ms, of which we add %.2f ms (p50) to the providers' calls\n%s",
		len(took), milliseconds(p50), milliseconds(p99), milliseconds(ours[len(ours)/2]), table.String())
}

// shortName names a step in a metric.
var shortName = map[registry.StepName]string{
	registry.StepClient: "client", registry.StepGrant: "grant", registry.StepEntity: "entity", registry.StepAlias: "alias", registry.StepPolicy: "policy",
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stepTimes sums up the steps, and the calls to the providers. It is safe for
// concurrent use.
type stepTimes struct {
	mu       sync.Mutex
	sum      map[registry.StepName]time.Duration
	provider time.Duration
}

// ObserveStep implements agents.Observer.
func (s *stepTimes) ObserveStep(step registry.StepName, d time.Duration, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum[step] += d
}

// Observe implements auth0.Observer and vault.Observer.
func (s *stepTimes) Observe(_, _ string, start time.Time, _ error) {
	d := time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.provider += d
}

func (s *stepTimes) spent(step registry.StepName) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum[step]
}

// calls is how long all calls to the providers took so far.
func (s *stepTimes) calls() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.provider
}

func (s *stepTimes) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum, s.provider = map[registry.StepName]time.Duration{}, 0
}
