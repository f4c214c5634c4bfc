package telemetry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/reconcile"
	"github.com/credenceproject/credence/internal/reconcile/budget"
	"github.com/credenceproject/credence/internal/reconcile/jobs"
	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/telemetry"
)

var (
	_ reconcile.Observer = (*telemetry.ReconcileMetrics)(nil)
	_ jobs.Observer      = (*telemetry.JobMetrics)(nil)
	_ sweep.Observer     = (*telemetry.DriftMetrics)(nil)
	_ budget.Observer    = (*telemetry.BudgetMetrics)(nil)
)

func TestTheBacklogGrowsUntilALookFindsAllThatIsDue(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	reg := prometheus.NewPedanticRegistry()
	m := telemetry.NewReconcileMetrics(reg, func() time.Time { return now })
	expect := func(when string, backlog, inFlight float64) {
		t.Helper()
		expectValues(t, reg, when, map[string]float64{"credence_reconcile_backlog_seconds": backlog, "credence_reconcile_in_flight": inFlight})
	}
	expect("at first", 0, 0)
	m.Claimed(8, now.Add(-5*time.Second), true)
	m.Began()
	expect("when more are due than there are workers", 5, 1)
	now = now.Add(time.Minute)
	expect("while nobody looks", 65, 1)
	m.Claimed(3, now.Add(-5*time.Second), false)
	expect("when all that is due was claimed", 0, 1)
	m.Claimed(8, now.Add(-5*time.Second), true)
	m.Claimed(0, time.Time{}, false)
	expect("when nothing is due", 0, 1)
	m.Claimed(8, now.Add(time.Minute), true) // the database's clock is ahead
	expect("when clocks differ", 0, 1)
}

func TestWhatTheWorkIsTimedBy(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	m := telemetry.NewReconcileMetrics(reg, time.Now)
	for _, outcome := range []string{reconcile.Converged, reconcile.Failed, reconcile.Failed} {
		m.Began()
		m.Ended(outcome, time.Second)
	}
	m.Began()
	j := telemetry.NewJobMetrics(reg)
	j.ObserveJob("sweep", time.Second, nil)
	j.ObserveJob("sweep", time.Second, errors.New("away"))
	b := telemetry.NewBudgetMetrics(reg)
	b.Waited(false, time.Second, true)
	b.Waited(true, time.Second, false)
	if n := value(t, reg, "credence_reconcile_in_flight"); n != 1 {
		t.Errorf("%.0f passes are in flight, want 1", n)
	}
	expectCounts(t, reg, map[string]uint64{
		"credence_reconcile_pass_seconds outcome=converged": 1, "credence_reconcile_pass_seconds outcome=failed": 2,
		"credence_job_seconds job=sweep result=ok": 1, "credence_job_seconds job=sweep result=error": 1,
		"credence_budget_wait_seconds priority=normal result=ok": 1, "credence_budget_wait_seconds priority=low result=busy": 1,
	})
}

func TestDriftIsCountedByWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	m := telemetry.NewDriftMetrics(reg)
	for _, d := range []registry.Drift{
		{Provider: "auth0", ObjectKind: "client", ObjectID: "a", Field: "name", Action: registry.DriftRepairing},
		{Provider: "auth0", ObjectKind: "client", ObjectID: "b", Field: "list", Action: registry.DriftRepairing},
		{Provider: "vault", ObjectKind: "entity", ObjectID: "a", Field: "disabled", Action: registry.DriftReported},
	} {
		m.Drifted(d)
	}
	expectValues(t, reg, "after a sweep", map[string]float64{
		"credence_drift_found_total action=repairing object=client provider=auth0": 2,
		"credence_drift_found_total action=reported object=entity provider=vault":  1,
	})
}

func TestAgentsThatExpireSoonAreCountedWhenAsked(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	asked := time.Duration(0)
	telemetry.RegisterExpiring(reg, func(d time.Duration) int { asked = d; return 3 })
	expectValues(t, reg, "with three", map[string]float64{"credence_agents_expiring within=7d": 3})
	if asked != 7*24*time.Hour {
		t.Errorf("the gauge that says 7d counts within %s", asked)
	}
}

// expectCounts compares how often was observed, over all histograms.
func expectCounts(t *testing.T, reg prometheus.Gatherer, want map[string]uint64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetHistogram() == nil {
				continue
			}
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			seen++
			if got := m.GetHistogram().GetSampleCount(); got != want[name] {
				t.Errorf("%s was observed %d times, want %d", name, got, want[name])
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d histograms, want %d", seen, len(want))
	}
}

// value is that of a gauge without labels.
func value(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
