package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// BundleMetrics tell how bundles are served. It implements bundles.Observer and is
// safe for concurrent use.
type BundleMetrics struct {
	held     prometheus.Gauge
	built    prometheus.Histogram
	released prometheus.Histogram
	braked   prometheus.Counter
}

// NewBundleMetrics registers the metrics with reg.
func NewBundleMetrics(reg prometheus.Registerer) *BundleMetrics {
	with := promauto.With(reg)
	return &BundleMetrics{
		held: with.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "bundle_polls_held", Help: "Long polls of policy engines that are held now.",
		}),
		built: with.NewHistogram(prometheus.HistogramOpts{
			Namespace: "credence", Name: "bundle_build_seconds", Help: "How long it took to make a bundle.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		released: with.NewHistogram(prometheus.HistogramOpts{
			Namespace: "credence", Name: "bundle_release_seconds", Help: "How long after a bundle was published a poll was let go with it.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		braked: with.NewCounter(prometheus.CounterOpts{
			Namespace: "credence", Name: "bundle_answers_delayed_total",
			Help: "Answers without news that were delayed: somebody asks too often, as an OPA does that cannot load what it gets.",
		}),
	}
}

// Held records that so many more polls are held, or fewer.
func (m *BundleMetrics) Held(more int) { m.held.Add(float64(more)) }

// Built records how long it took to make a bundle.
func (m *BundleMetrics) Built(took time.Duration) { m.built.Observe(took.Seconds()) }

// Released records how long after the publication a poll was let go.
func (m *BundleMetrics) Released(after time.Duration) { m.released.Observe(after.Seconds()) }

// Braked records that an answer was delayed.
func (m *BundleMetrics) Braked(time.Duration) { m.braked.Inc() }
