package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/credenceproject/credence/internal/registry"
)

// inBubble runs f in synthetic time, with an issuer in this process.
func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	_, _ = testKey(), otherKey() // made in real time
	synctest.Test(t, func(t *testing.T) {
		issuer := &testIssuer{}
		issuer.init("https://issuer.example")
		b := newBenchWith(t, issuer, func(c *Config) {
			c.HTTPClient = &http.Client{Transport: inProcess{issuer}}
			c.Now = time.Now
		})
		b.clock.nanos.Store(time.Now().UnixNano())
		f(t, b)
	})
}

// unknownKeys are tokens by keys that the issuer does not have, all different.
func unknownKeys(tb testing.TB, b *bench, n int) []string {
	tb.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = sign(tb, jose.RS256, fmt.Sprintf("unknown-%d", i), otherKey(), b.claims(nil))
	}
	return tokens
}

// burst authenticates all tokens at once and returns the errors.
func burst(ctx context.Context, b *bench, tokens []string) []error {
	errs := make([]error, len(tokens))
	var group sync.WaitGroup
	for i, token := range tokens {
		group.Go(func() { _, errs[i] = b.Authenticate(ctx, token) })
	}
	group.Wait()
	return errs
}

func TestKeys_BurstsOfUnknownKeysFetchOncePerInterval(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		mustAuthenticate(t, b, b.token(t, nil))
		forged := unknownKeys(t, b, 40)
		for interval := range 4 {
			for range 2 {
				for _, err := range burst(t.Context(), b, forged) {
					wantError(t, err, registry.Unauthenticated, "invalid_token")
				}
			}
			if got, want := b.issuer.fetches.Load(), int64(1+interval); got != want {
				t.Fatalf("after %d intervals the keys were fetched %d times, want %d", interval, got, want)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

func TestKeys_FirstBurstSharesOneFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.issuer.answer(slowly(b.issuer, time.Second))
		tokens := make([]string, 40)
		for i := range tokens {
			tokens[i] = b.token(t, map[string]any{"sub": fmt.Sprintf("auth0|%d", i)})
		}
		for _, err := range burst(t.Context(), b, tokens) {
			if err != nil {
				t.Errorf("Authenticate: %v", err)
			}
		}
		if n := b.issuer.fetches.Load(); n != 1 {
			t.Errorf("the keys were fetched %d times, want once", n)
		}
	})
}

func TestKeys_SlowIssuerDelaysNobodyWhoseKeyIsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		mustAuthenticate(t, b, b.token(t, nil))
		time.Sleep(keyRefresh)
		b.issuer.answer(slowly(b.issuer, 4*time.Second))
		waiting := make(chan error, 1)
		go func() {
			_, err := b.Authenticate(t.Context(), unknownKeys(t, b, 1)[0])
			waiting <- err
		}()
		synctest.Wait() // now it waits for the issuer
		start := time.Now()
		mustAuthenticate(t, b, b.token(t, nil))
		mustAuthenticate(t, b, b.token(t, map[string]any{"sub": "auth0|bo"}))
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v for an issuer that was not needed", waited)
		}
		wantError(t, <-waiting, registry.Unauthenticated, "invalid_token")
	})
}

func TestKeys_CallerWhoHangsUpSpoilsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.issuer.answer(slowly(b.issuer, 2*time.Second))
		ctx, hangUp := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := b.Authenticate(ctx, b.token(t, nil))
			first <- err
		}()
		synctest.Wait() // its fetch is under way
		second := make(chan error, 1)
		go func() {
			_, err := b.Authenticate(t.Context(), b.token(t, nil))
			second <- err
		}()
		synctest.Wait()
		hangUp()
		err := <-first
		wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v does not say that the caller hung up", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the one who stayed got %v", err)
		}
		if n := b.issuer.fetches.Load(); n != 1 {
			t.Errorf("the keys were fetched %d times, want once", n)
		}
	})
}

func TestKeys_IssuerThatNeverAnswersIsGivenUpOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.issuer.answer(slowly(b.issuer, time.Hour))
		start := time.Now()
		_, err := b.Authenticate(t.Context(), b.token(t, nil))
		wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
		if waited := time.Since(start); waited != requestTimeout {
			t.Errorf("waited %v, want %v", waited, requestTimeout)
		}
		time.Sleep(2 * time.Hour) // let the handler end
	})
}

// slowly answers as the issuer does, each request a while later.
func slowly(i *testIssuer, delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		i.serve(w, r)
	}
}
