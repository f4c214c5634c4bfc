package emulator_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ unixNano atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unixNano.Store(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.unixNano.Load()) }
func (c *clock) advance(d time.Duration) { c.unixNano.Add(int64(d)) }

func TestTwoSecretsAreValidAfterARotation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		overlap time.Duration
		after   time.Duration
		old     int // status of the old secret
	}{
		{"at once", 0, 0, 200},
		{"just before the default ends", 0, 30*time.Second - 1, 200},
		{"when the default ends", 0, 30 * time.Second, 401},
		{"when a set overlap ends", time.Minute, time.Minute, 401},
		{"without an overlap", -1, 0, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			tn := newTenant(t, options{Now: clock.now, SecretOverlap: tt.overlap})
			tn.withAPI(t, "")
			id, old := tn.agent(t, "")
			tn.grantAll(t, id)
			fresh := tn.must(t, "POST", "clients/"+id+"/rotate-secret", "")["client_secret"].(string)
			clock.advance(tt.after)

			if a := tn.exchange(t, credentialsForm(id, old, testAudience)); a.status != tt.old {
				t.Errorf("old secret: %d, want %d", a.status, tt.old)
			}
			if a := tn.exchange(t, credentialsForm(id, fresh, testAudience)); a.status != http.StatusOK {
				t.Errorf("new secret: %d %s", a.status, a.body)
			}
		})
	}
}

func TestASecondRotationEndsTheFirstSecret(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, first := tn.agent(t, "")
	tn.grantAll(t, id)
	second := tn.must(t, "POST", "clients/"+id+"/rotate-secret", "")["client_secret"].(string)
	tn.must(t, "POST", "clients/"+id+"/rotate-secret", "null")
	if a := tn.exchange(t, credentialsForm(id, first, testAudience)); a.status != http.StatusUnauthorized {
		t.Errorf("first secret: %d", a.status)
	}
	if a := tn.exchange(t, credentialsForm(id, second, testAudience)); a.status != http.StatusOK {
		t.Errorf("second secret: %d %s", a.status, a.body)
	}
}

func TestASecretIsShownOnce(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, secret := tn.agent(t, "")
	for _, a := range []answer{
		tn.manage(t, "GET", "clients/"+id, ""),
		tn.manage(t, "GET", "clients?include_totals=true", ""),
		tn.manage(t, "PATCH", "clients/"+id, `{"description":"changed"}`),
	} {
		if a.status != http.StatusOK || strings.Contains(a.body, secret) || strings.Contains(a.body, "client_secret") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

func TestASecretCanBeSet(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, old := tn.agent(t, "")
	tn.grantAll(t, id)
	tn.must(t, "PATCH", "clients/"+id, `{"client_secret":"chosen by the caller"}`)
	if a := tn.exchange(t, credentialsForm(id, "chosen by the caller", testAudience)); a.status != http.StatusOK {
		t.Errorf("set secret: %d %s", a.status, a.body)
	}
	if a := tn.exchange(t, credentialsForm(id, old, testAudience)); a.status != http.StatusUnauthorized {
		t.Errorf("old secret: %d", a.status)
	}
}
