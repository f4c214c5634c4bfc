package telemetry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/telemetry"
)

// series are the metrics of reg: name, labels and how often each was observed.
func series(t *testing.T, reg *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			found[strings.Join(labels, " ")] = m.GetHistogram().GetSampleCount()
		}
	}
	return found
}

func TestMetricsHaveTheNamesAndLabelsThatTheDocumentationTells(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	http, provider, steps := telemetry.NewHTTPMetrics(reg), telemetry.NewProviderMetrics(reg), telemetry.NewStepMetrics(reg)

	http.Observe("GET", "/agents/:name", 200, time.Millisecond)
	http.Observe("GET", "/agents/:name", 200, time.Millisecond)
	http.Observe("GET", "none", 404, time.Millisecond)
	http.Observe("FETCH", "none", 405, time.Millisecond)
	http.Observe("get", "none", 405, time.Millisecond)
	provider.Observe("vault", "write_entity", time.Now(), nil)
	provider.Observe("auth0", "create_client", time.Now(), errors.New("with a text that is no label"))
	steps.ObserveStep(registry.StepClient, time.Millisecond, nil)
	steps.ObserveStep(registry.StepClient, time.Millisecond, errors.New("with another"))

	want := map[string]uint64{
		"credence_http_request_seconds method=GET route=/agents/:name status=200":             2,
		"credence_http_request_seconds method=GET route=none status=404":                      1,
		"credence_http_request_seconds method=other route=none status=405":                    2,
		"credence_provider_call_seconds operation=write_entity provider=vault result=ok":      1,
		"credence_provider_call_seconds operation=create_client provider=auth0 result=error":  1,
		"credence_registration_step_seconds result=ok step=" + string(registry.StepClient):    1,
		"credence_registration_step_seconds result=error step=" + string(registry.StepClient): 1,
	}
	if diff := cmp.Diff(want, series(t, reg)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestMetricsKeepTheMethodsOfHTTPApart(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := telemetry.NewHTTPMetrics(reg)
	var want []string
	for _, method := range []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"} {
		m.Observe(method, "/agents", 200, time.Millisecond)
		want = append(want, "credence_http_request_seconds method="+method+" route=/agents status=200")
	}
	var got []string
	for name := range series(t, reg) {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}
