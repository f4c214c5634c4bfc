package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/credenceproject/credence/internal/registry"
)

// SnapshotMetrics tell how current the registry in memory is. It implements
// snapshot.Observer and is safe for concurrent use.
type SnapshotMetrics struct {
	revision prometheus.Gauge
	changes  prometheus.Counter
	reloads  *prometheus.CounterVec
	checked  atomic.Int64 // Unix nanoseconds
}

// NewSnapshotMetrics registers the metrics with reg; now is the clock. Until the
// registry has been loaded its age counts from here.
func NewSnapshotMetrics(reg prometheus.Registerer, now func() time.Time) *SnapshotMetrics {
	with := promauto.With(reg)
	m := &SnapshotMetrics{
		revision: with.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "snapshot_revision", Help: "Revision of the registry in memory, within its epoch.",
		}),
		changes: with.NewCounter(prometheus.CounterOpts{
			Namespace: "credence", Name: "snapshot_changes_total", Help: "Changes applied to the registry in memory.",
		}),
		reloads: with.NewCounterVec(prometheus.CounterOpts{
			Namespace: "credence", Name: "snapshot_reloads_total", Help: "Times that the whole registry was loaded, by reason.",
		}, []string{"reason"}),
	}
	m.checked.Store(now().UnixNano())
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "credence", Name: "snapshot_age_seconds", Help: "Seconds since the registry in memory was last seen to be the newest state.",
	}, func() float64 { return max(0, now().Sub(time.Unix(0, m.checked.Load())).Seconds()) })
	return m
}

// Checked records that the registry in memory was the newest state at the time.
func (m *SnapshotMetrics) Checked(head registry.Head, at time.Time) {
	m.revision.Set(float64(head.Revision))
	m.checked.Store(at.UnixNano())
}

// Followed records that so many changes were applied.
func (m *SnapshotMetrics) Followed(changes int) { m.changes.Add(float64(changes)) }

// Reloaded records that everything was loaded, and why: one of package
// snapshot's Reload constants.
func (m *SnapshotMetrics) Reloaded(why string) { m.reloads.WithLabelValues(why).Inc() }
