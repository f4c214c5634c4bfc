package vault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

func sealed(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusServiceUnavailable, map[string]any{"errors": []string{"Vault is sealed"}})
}

// hangs answers nothing until the caller has gone, which a server notices only
// when it has read the request.
func hangs(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Somebody else may hold the agent's lease when a context has ended: nothing is
// sent any more, neither a repetition nor a next step, and the call returns.
func TestInvariant_C2_NoCallOutlivesItsContext(t *testing.T) {
	t.Parallel()
	for how, fault := range map[string]http.HandlerFunc{"sealed": sealed, "hangs": hangs} {
		for name, call := range callsOf(newAgent("customer-success", "production")) {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				c, s, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
					cancel()
					fault(w, r)
				})
				if err := call(ctx, c); !isUnavailable(err) || !errors.Is(err, context.Canceled) {
					t.Errorf("error = %v, want Unavailable by context.Canceled", err)
				}
				if n := s.countPrefix("/v1/identity/", "/v1/sys/policies/", "/v1/auth/jwt/"); n != 1 {
					t.Errorf("%d requests, want none after the end of the context", n)
				}
			})
		}
	}
}

// callsOf are all that a Client does about an agent and the store.
func callsOf(a registry.Agent) map[string]func(context.Context, *vault.Client) error {
	return map[string]func(context.Context, *vault.Client) error{
		"EnsureEntity":  func(ctx context.Context, c *vault.Client) error { return second(c.EnsureEntity(ctx, a)) },
		"EnableEntity":  func(ctx context.Context, c *vault.Client) error { return c.EnableEntity(ctx, a.ID) },
		"DisableEntity": func(ctx context.Context, c *vault.Client) error { return c.DisableEntity(ctx, a.ID) },
		"DeleteEntity":  func(ctx context.Context, c *vault.Client) error { return c.DeleteEntity(ctx, a.ID) },
		"InspectEntity": func(ctx context.Context, c *vault.Client) error { return second(c.InspectEntity(ctx, a.ID)) },
		"InspectStore":  func(ctx context.Context, c *vault.Client) error { return second(c.InspectStore(ctx)) },
		"EnsureAlias": func(ctx context.Context, c *vault.Client) error {
			return second(c.EnsureAlias(ctx, uuid.NewString(), a.Subject()))
		},
	}
}

// frozen is a context of a process that was stopped between a look at the context
// and the call: the deadline has passed, and no timer has fired.
type frozen struct{ context.Context }

func (frozen) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }
func (frozen) Done() <-chan struct{}       { return nil }
func (frozen) Err() error                  { return nil }

func TestInvariant_C2_NoCallLeavesAfterItsDeadlineThoughNoTimerHasFired(t *testing.T) {
	t.Parallel()
	for name, call := range callsOf(newAgent("customer-success", "production")) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := against(t, sealed)
			if err := call(frozen{t.Context()}, c); !isUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want Unavailable by context.DeadlineExceeded", err)
			}
			if n := s.countPrefix("/v1/identity/", "/v1/sys/policies/", "/v1/auth/jwt/"); n != 0 {
				t.Errorf("%d requests left after the deadline", n)
			}
		})
	}
}

// One who waits for another's call of the same subject gives up in time too.
func TestInvariant_C2_WaitingForAnotherCallEndsWithTheContext(t *testing.T) {
	t.Parallel()
	subject := newAgent("customer-success", "production").Subject()
	reached := make(chan struct{})
	c, s, _ := against(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		hangs(nil, r)
	})
	first, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.EnsureAlias(first, uuid.NewString(), subject) })
	<-reached
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.EnsureAlias(ended, uuid.NewString(), subject); !isUnavailable(err) || !strings.Contains(err.Error(), "wait for a call of the same subject") {
		t.Errorf("EnsureAlias() = %v, want Unavailable while waiting", err)
	}
	cancel()
	wg.Wait()
	if n := s.countPrefix("/v1/identity/"); n != 1 {
		t.Errorf("%d requests, want the first caller's", n)
	}
}
