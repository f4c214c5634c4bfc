package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// failingEvery is how often the failing agents are counted at most, however
	// often somebody scrapes.
	failingEvery = 15 * time.Second
	// countTimeout bounds a count: a scrape waits for it.
	countTimeout = time.Second
)

// RegisterFailing registers a gauge of the agents whose last pass failed with reg.
// count counts them; it is asked with a scrape, every 15 s at most. Where it fails
// there is no gauge until it is asked again: nobody knows. now is the clock.
func RegisterFailing(reg prometheus.Registerer, count func(context.Context) (int64, error), now func() time.Time) {
	reg.MustRegister(&failing{count: count, now: now, desc: prometheus.NewDesc("credence_agents_failing",
		"Agents whose last pass failed and that wait for the next one. Each replica says the same, up to 15 s late.", nil, nil)})
}

// failing is the collector of RegisterFailing.
type failing struct {
	desc  *prometheus.Desc
	count func(context.Context) (int64, error)
	now   func() time.Time

	mu    sync.Mutex
	asked time.Time
	n     int64
	known bool
}

// Describe implements prometheus.Collector.
func (f *failing) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

// Collect implements prometheus.Collector.
func (f *failing) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); f.asked.IsZero() || now.Sub(f.asked) >= failingEvery {
		ctx, cancel := context.WithTimeout(context.Background(), countTimeout) // a scrape brings none
		defer cancel()
		n, err := f.count(ctx)
		f.asked, f.n, f.known = now, n, err == nil
	}
	if f.known {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(f.n))
	}
}
