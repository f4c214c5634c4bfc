package telemetry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/telemetry"
)

var _ snapshot.Observer = (*telemetry.SnapshotMetrics)(nil)

func TestSnapshotMetricsTellHowCurrentTheRegistryIs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	reg := prometheus.NewPedanticRegistry()
	m := telemetry.NewSnapshotMetrics(reg, func() time.Time { return now })
	now = now.Add(3 * time.Second)
	expectValues(t, reg, "before the first load", map[string]float64{
		"credence_snapshot_age_seconds": 3, "credence_snapshot_revision": 0, "credence_snapshot_changes_total": 0,
	})

	m.Reloaded(snapshot.ReloadFirst)
	m.Followed(2)
	m.Followed(3)
	m.Checked(registry.Head{Epoch: "e1", Revision: 42}, now)
	now = now.Add(1500 * time.Millisecond)
	expectValues(t, reg, "while following", map[string]float64{
		"credence_snapshot_age_seconds": 1.5, "credence_snapshot_revision": 42, "credence_snapshot_changes_total": 5,
		"credence_snapshot_reloads_total reason=first": 1,
	})

	now = now.Add(-time.Hour) // the clock was set back
	m.Reloaded(snapshot.ReloadGap)
	expectValues(t, reg, "after the clock was set back", map[string]float64{
		"credence_snapshot_age_seconds": 0, "credence_snapshot_revision": 42, "credence_snapshot_changes_total": 5,
		"credence_snapshot_reloads_total reason=first": 1, "credence_snapshot_reloads_total reason=gap": 1,
	})
}

// expectValues compares all gauges and counters.
func expectValues(t *testing.T, reg prometheus.Gatherer, when string, want map[string]float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}
