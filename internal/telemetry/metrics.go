// Package telemetry holds the metrics of the server. Labels have a fixed, small
// set of values; an agent's name is never a label.
package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/credenceproject/credence/internal/registry"
)

// HTTPMetrics times the requests to the API.
type HTTPMetrics struct{ seconds *prometheus.HistogramVec }

// NewHTTPMetrics registers the metrics with reg.
func NewHTTPMetrics(reg prometheus.Registerer) *HTTPMetrics {
	return &HTTPMetrics{seconds: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "credence", Name: "http_request_seconds",
		Help:    "Duration of requests to the API, by method, route pattern and status.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 11),
	}, []string{"method", "route", "status"})}
}

// Observe records one request.
func (m *HTTPMetrics) Observe(method, route string, status int, took time.Duration) {
	m.seconds.WithLabelValues(knownMethod(method), route, strconv.Itoa(status)).Observe(took.Seconds())
}

// knownMethod keeps callers from making up label values.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// ProviderMetrics times the calls to Auth0 and Vault.
type ProviderMetrics struct{ seconds *prometheus.HistogramVec }

// NewProviderMetrics registers the metrics with reg.
func NewProviderMetrics(reg prometheus.Registerer) *ProviderMetrics {
	return &ProviderMetrics{seconds: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "credence", Name: "provider_call_seconds",
		Help:    "Duration of calls to Auth0 and Vault, by provider, operation and result.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
	}, []string{"provider", "operation", "result"})}
}

// Observe records one call that began at start and ended with err.
func (m *ProviderMetrics) Observe(provider, operation string, start time.Time, err error) {
	m.seconds.WithLabelValues(provider, operation, result(err)).Observe(time.Since(start).Seconds())
}

// StepMetrics times the steps of registrations.
type StepMetrics struct{ seconds *prometheus.HistogramVec }

// NewStepMetrics registers the metrics with reg.
func NewStepMetrics(reg prometheus.Registerer) *StepMetrics {
	return &StepMetrics{seconds: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "credence", Name: "registration_step_seconds",
		Help:    "Duration of the steps of registrations, by step and result.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
	}, []string{"step", "result"})}
}

// ObserveStep records one step that took d and ended with err.
func (m *StepMetrics) ObserveStep(step registry.StepName, d time.Duration, err error) {
	m.seconds.WithLabelValues(string(step), result(err)).Observe(d.Seconds())
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
