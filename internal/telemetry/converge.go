package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/credenceproject/credence/internal/registry"
)

// ReconcileMetrics tell how agents are worked on in the background. It implements
// reconcile.Observer and is safe for concurrent use.
type ReconcileMetrics struct {
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	due      atomic.Int64 // Unix nanoseconds: since when the longest due waits; 0: none does
}

// NewReconcileMetrics registers the metrics with reg; now is the clock.
func NewReconcileMetrics(reg prometheus.Registerer, now func() time.Time) *ReconcileMetrics {
	with := promauto.With(reg)
	m := &ReconcileMetrics{
		seconds: with.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "credence", Name: "reconcile_pass_seconds",
			Help:    "Duration of passes over agents in the background, by outcome.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 9),
		}, []string{"outcome"}),
		inFlight: with.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "reconcile_in_flight", Help: "Passes that are under way in the background.",
		}),
	}
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "credence", Name: "reconcile_backlog_seconds",
		Help: "Seconds that agents have been due for which this replica had no worker free, at most; 0 when there are none.",
	}, func() float64 {
		due := m.due.Load()
		if due == 0 {
			return 0
		}
		return max(0, now().Sub(time.Unix(0, due)).Seconds())
	})
	return m
}

// Claimed records a look for agents that are due: when there may be more than were
// claimed, others wait.
func (m *ReconcileMetrics) Claimed(_ int, due time.Time, more bool) {
	if !more || due.IsZero() {
		m.due.Store(0)
		return
	}
	m.due.Store(due.UnixNano())
}

// Began records that a pass begins.
func (m *ReconcileMetrics) Began() { m.inFlight.Inc() }

// Ended records how a pass went: one of package reconcile's outcomes.
func (m *ReconcileMetrics) Ended(outcome string, took time.Duration) {
	m.inFlight.Dec()
	m.seconds.WithLabelValues(outcome).Observe(took.Seconds())
}

// JobMetrics time periodic jobs. It implements jobs.Observer.
type JobMetrics struct{ seconds *prometheus.HistogramVec }

// NewJobMetrics registers the metrics with reg.
func NewJobMetrics(reg prometheus.Registerer) *JobMetrics {
	return &JobMetrics{seconds: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "credence", Name: "job_seconds",
		Help:    "Duration of periodic jobs, by job and result. One replica does each.",
		Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
	}, []string{"job", "result"})}
}

// ObserveJob records one run.
func (m *JobMetrics) ObserveJob(name string, took time.Duration, err error) {
	m.seconds.WithLabelValues(name, result(err)).Observe(took.Seconds())
}

// DriftMetrics count what sweeps find. It implements sweep.Observer.
type DriftMetrics struct{ found *prometheus.CounterVec }

// NewDriftMetrics registers the metrics with reg.
func NewDriftMetrics(reg prometheus.Registerer) *DriftMetrics {
	return &DriftMetrics{found: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Namespace: "credence", Name: "drift_found_total",
		Help: "Differences that sweeps found at the providers, by provider, kind of object, and what becomes of them. One that lasts counts in each sweep.",
	}, []string{"provider", "object", "action"})}
}

// Drifted records one difference.
func (m *DriftMetrics) Drifted(d registry.Drift) {
	m.found.WithLabelValues(d.Provider, d.ObjectKind, string(d.Action)).Inc()
}

// BudgetMetrics time how long calls wait for their place within a shared rate
// limit. It implements budget.Observer.
type BudgetMetrics struct{ seconds *prometheus.HistogramVec }

// NewBudgetMetrics registers the metrics with reg.
func NewBudgetMetrics(reg prometheus.Registerer) *BudgetMetrics {
	return &BudgetMetrics{seconds: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "credence", Name: "budget_wait_seconds",
		Help:    "How long calls to Auth0 waited for their place within the rate limit, by priority and whether they got one.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	}, []string{"priority", "result"})}
}

// Waited records one wait.
func (m *BudgetMetrics) Waited(low bool, d time.Duration, ok bool) {
	priority, outcome := "normal", "ok"
	if low {
		priority = "low"
	}
	if !ok {
		outcome = "busy"
	}
	m.seconds.WithLabelValues(priority, outcome).Observe(d.Seconds())
}

// ExpiryWarning is how long before it expires an agent counts as expiring.
const ExpiryWarning = 7 * 24 * time.Hour

// RegisterExpiring registers a gauge of the agents that expire soon with reg; count
// returns how many expire within d and is asked with each scrape.
func RegisterExpiring(reg prometheus.Registerer, count func(d time.Duration) int) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "credence", Name: "agents_expiring", ConstLabels: prometheus.Labels{"within": "7d"},
		Help: "Agents that work and expire soon, or whose credentials do. Each replica says the same.",
	}, func() float64 { return float64(count(ExpiryWarning)) })
}
