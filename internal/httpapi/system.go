package httpapi

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/credenceproject/credence/api"
)

// Check is one thing that readiness tells of. A check that is Vital makes the
// process unready; any other is a detail (invariant F2).
type Check struct {
	Name  string // as openapi.yaml lists them
	Vital bool
	// Probe returns what is amiss. The text of its error is shown to anybody
	// who can reach the port.
	Probe func(ctx context.Context) error
}

// Health says whether the process should get requests.
type Health struct {
	version string
	checks  []Check
	drain   context.CancelFunc
	drained context.Context //nolint:containedctx // it ends with Drain; a context is the signal that waits take

	mu    sync.Mutex // held while probing, so that one caller probes for all
	known []api.Check
	since time.Time // when known was found out
}

// NewHealth returns the health of a process of that version.
func NewHealth(version string, checks ...Check) *Health {
	h := &Health{version: version, checks: checks}
	h.drained, h.drain = context.WithCancel(context.Background())
	return h
}

// Drain makes the process unready, since it is about to stop, and lets those go who
// wait for an agent.
func (h *Health) Drain() { h.drain() }

const (
	// probeTimeout bounds one probe, so that readiness answers in time.
	probeTimeout = 2 * time.Second
	// probeLifetime is how long the probes' answers stand: anybody may ask, and
	// they cost the database and the providers calls.
	probeLifetime = time.Second
)

// Healthz handles GET /healthz.
func (s *Server) Healthz(context.Context, api.HealthzRequestObject) (api.HealthzResponseObject, error) {
	return api.Healthz200JSONResponse{Status: api.Ok, Version: &s.health.version}, nil
}

// Readyz handles GET /readyz.
func (s *Server) Readyz(ctx context.Context, _ api.ReadyzRequestObject) (api.ReadyzResponseObject, error) {
	r := s.health.readiness(ctx)
	if !r.Ready {
		return api.Readyz503JSONResponse(r), nil
	}
	return api.Readyz200JSONResponse(r), nil
}

func (h *Health) readiness(ctx context.Context) api.Readiness {
	r := api.Readiness{Ready: true, Checks: h.probed(ctx)}
	for i, c := range h.checks {
		r.Ready = r.Ready && (r.Checks[i].Ok || !c.Vital)
	}
	if h.drained.Err() != nil {
		r.Ready = false
		r.Checks = append(r.Checks, api.Check{Name: api.CheckName("draining"), Reason: optional("the process is about to stop")})
	}
	return r
}

// probed returns a copy of what the probes say, at most probeLifetime ago.
func (h *Health) probed(ctx context.Context) []api.Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || time.Since(h.since) >= probeLifetime {
		h.known, h.since = h.probe(ctx), time.Now()
	}
	return slices.Clone(h.known)
}

// probe runs all probes side by side. Its answer serves others too, so that the
// caller who began it may hang up.
func (h *Health) probe(ctx context.Context) []api.Check {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	checks := make([]api.Check, len(h.checks))
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() {
			checks[i] = api.Check{Name: api.CheckName(c.Name), Ok: true}
			if err := c.Probe(ctx); err != nil {
				checks[i].Ok, checks[i].Reason = false, optional(err.Error())
			}
		})
	}
	wg.Wait()
	return checks
}
