package authn

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/credenceproject/credence/internal/registry"
)

// landed waits for the end of the fetch that is under way.
func (r *keyring) landed() {
	r.mu.Lock()
	f := r.last
	r.mu.Unlock()
	<-f.done
}

func TestKeys_NewDoesNotAskTheIssuer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if n := b.issuer.requests.Load(); n != 0 {
		t.Errorf("New asked the issuer %d times", n)
	}
	mustAuthenticate(t, b, b.token(t, nil))
	mustAuthenticate(t, b, b.token(t, map[string]any{"sub": "auth0|bo"}))
	if n := b.issuer.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}

func TestKeys_RotationIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.token(t, nil)
	mustAuthenticate(t, b, old)
	b.issuer.publish(jwk(testKeyID, testKey().Public()), jwk("key-2", otherKey().Public()))
	b.clock.advance(10 * time.Second)
	mustAuthenticate(t, b, sign(t, jose.RS256, "key-2", otherKey(), b.claims(nil)))
	mustAuthenticate(t, b, old)
}

func TestKeys_WithdrawnKeyStopsWorkingForRememberedTokensToo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, nil)
	mustAuthenticate(t, b, token)
	b.issuer.publish(jwk("key-2", otherKey().Public()))
	b.clock.advance(keyRefresh - time.Nanosecond)
	mustAuthenticate(t, b, token)
	if n := b.issuer.fetches.Load(); n != 1 {
		t.Fatalf("young keys were fetched %d times, want once", n)
	}
	b.clock.advance(time.Nanosecond)
	mustAuthenticate(t, b, token) // and has the keys fetched in the background
	b.keys.landed()
	_, err := b.Authenticate(t.Context(), token)
	wantError(t, err, registry.Unauthenticated, "invalid_token")
}

func TestKeys_NewKeyUnderAnOldNameReplacesIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, nil)
	mustAuthenticate(t, b, token)
	b.issuer.publish(jwk(testKeyID, otherKey().Public()))
	b.clock.advance(keyRefresh)
	mustAuthenticate(t, b, token)
	b.keys.landed()
	_, err := b.Authenticate(t.Context(), token)
	wantError(t, err, registry.Unauthenticated, "invalid_token")
	mustAuthenticate(t, b, sign(t, jose.RS256, testKeyID, otherKey(), b.claims(nil)))
}

func TestKeys_UnchangedKeysKeepWhatIsRemembered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.issuer.publish(jwk(testKeyID, testKey().Public()), jwk("key-2", otherKey().Public()))
	mustAuthenticate(t, b, b.token(t, nil))
	before := b.keys.usable()
	b.issuer.publish(jwk("key-2", otherKey().Public()), jwk(testKeyID, testKey().Public()))
	b.clock.advance(keyRefresh)
	mustAuthenticate(t, b, b.token(t, nil))
	b.keys.landed()
	after := b.keys.usable()
	if before == after || before.fingerprint != after.fingerprint {
		t.Errorf("the same keys in another order have fingerprint %x, had %x", after.fingerprint, before.fingerprint)
	}
}

func TestKeys_OutageIsNeverLetThrough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.issuer.goAway()
	token := b.token(t, nil)
	for range 2 {
		_, err := b.Authenticate(t.Context(), token)
		wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
	}
	if n := b.issuer.requests.Load(); n != 1 {
		t.Errorf("an issuer that is away was asked %d times at once, want once", n)
	}
	wantError(t, b.Ready(t.Context()), registry.Unavailable, "identity_provider_unavailable")
	b.issuer.answer(nil)
	b.clock.advance(keyRetry)
	mustAuthenticate(t, b, token)
	if err := b.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func TestKeys_KnownKeysOutliveAnOutageForADay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, map[string]any{"exp": b.clock.now().Unix() + 7*24*3600})
	mustAuthenticate(t, b, token)
	b.issuer.goAway()
	b.clock.advance(keyLifetime - time.Nanosecond)
	mustAuthenticate(t, b, token)
	mustAuthenticate(t, b, b.token(t, map[string]any{"sub": "auth0|bo"}))
	b.keys.landed()
	_, err := b.Authenticate(t.Context(), sign(t, jose.RS256, "key-2", otherKey(), b.claims(nil)))
	wantError(t, err, registry.Unavailable, "identity_provider_unavailable") // it may be a new one
	b.clock.advance(time.Nanosecond)
	for _, lost := range []string{token, b.token(t, nil)} {
		_, err := b.Authenticate(t.Context(), lost)
		wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
	}
	b.issuer.answer(nil)
	b.clock.advance(10 * time.Second)
	mustAuthenticate(t, b, token)
}
