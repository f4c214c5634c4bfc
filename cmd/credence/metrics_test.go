package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func TestTheMetricsListenerServesMetricsAndProfilesAndNoArguments(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	promauto.With(metrics).NewCounter(prometheus.CounterOpts{Name: "some_total", Help: "Of some."}).Inc()
	h := metricsServer(metrics, nil).Handler
	for request, status := range map[string]int{
		"GET /metrics":                       http.StatusOK,
		"GET /debug/pprof/":                  http.StatusOK,
		"GET /debug/pprof/goroutine":         http.StatusOK,
		"GET /debug/pprof/trace?seconds=.01": http.StatusOK,
		"GET /debug/pprof/cmdline":           http.StatusNotFound, // the process's arguments
		"POST /metrics":                      http.StatusMethodNotAllowed,
		"GET /agents":                        http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != status {
			t.Errorf("%s: %d, want %d", request, w.Code, status)
		}
		if request == "GET /metrics" && !strings.Contains(w.Body.String(), "some_total 1") {
			t.Errorf("the metrics lack what was counted: %s", w.Body)
		}
	}
}

// A page that rebinds its name to our address reads neither metrics nor heaps.
func TestInvariant_D3_TheMetricsListenerChecksHost(t *testing.T) {
	t.Parallel()
	h := metricsServer(prometheus.NewRegistry(), []string{"127.0.0.1"}).Handler
	for host, want := range map[string]int{"127.0.0.1:9090": http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
		for _, path := range []string{"/metrics", "/debug/pprof/"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s at host %s answered %d, want %d", path, host, w.Code, want)
			}
		}
	}
}
