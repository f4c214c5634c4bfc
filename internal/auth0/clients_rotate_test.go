package auth0

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

func TestRotateSecretGivesASecretThatWorksInPlaceOfTheOldOne(t *testing.T) {
	t.Parallel()
	tn := prepared(t, func(o *emulator.Options) { o.SecretOverlap = -1 })
	c := tn.client(t, nil)
	agent, old := made(t, c)
	fresh, err := c.RotateSecret(t.Context(), agent.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.ClientID != agent.ClientID || fresh.ClientSecret == old.ClientSecret {
		t.Errorf("the client id %s, and whether the secret is another: %t", fresh.ClientID, fresh.ClientSecret != old.ClientSecret)
	}
	if got := [2]int{tn.secretSignIn(t, old), tn.secretSignIn(t, fresh)}; got != [2]int{401, 200} {
		t.Errorf("the old and the new one: %v", got)
	}
}

// A second request would end the secret that the first one gave.
func TestRotateSecretSendsOneRequestWhateverHappens(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c)
	path := clientsPath + "/" + agent.ClientID + "/rotate-secret"
	for name, row := range map[string]struct {
		fault   fault
		kind    registry.Kind
		notDone bool
	}{
		"the connection drops after reading":    {dropAfterReading, registry.Unavailable, false},
		"the connection drops after the commit": {dropAfterCommit, registry.Unavailable, false},
		"the body is cut":                       {truncate, registry.Unavailable, false},
		"the rate limit":                        {answer(429, `{}`, "Retry-After", "3"), registry.Unavailable, true},
		"a broken server":                       {answer(500, ``), registry.Unavailable, false},
		"a server that is away":                 {answer(503, ``), registry.Unavailable, false},
		"an empty success":                      {answer(200, ``), registry.Unavailable, false},
		"a success of nothing":                  {answer(200, `{}`), registry.Unavailable, false},
		"a success of null":                     {answer(200, `null`), registry.Unavailable, false},
		"a success without a secret":            {answer(200, `{"client_id":"`+agent.ClientID+`"}`), registry.Unavailable, false},
		"a success of another client":           {answer(200, `{"client_id":"other","client_secret":"s"}`), registry.Unavailable, false},
		"a client that is gone":                 {answer(404, `{"statusCode":404}`), registry.NotFound, false},
		"a client that has keys":                {answer(400, `{"statusCode":400,"message":"no"}`), registry.Refused, false},
		"a missing scope":                       {answer(403, `{"statusCode":403,"errorCode":"insufficient_scope"}`), registry.Refused, false},
	} {
		tn.faults.set("POST", path, row.fault)
		got, err := c.RotateSecret(t.Context(), agent.ClientID)
		if !errors.Is(err, row.kind) || errors.Is(err, registry.ErrNotDone) != row.notDone {
			t.Errorf("%s: %v", name, err)
		}
		if got != (registry.Credentials{}) {
			t.Errorf("%s: credentials beside an error", name)
		}
		if n := tn.faults.count(); n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
}

func TestNoCallOutlivesItsContext(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	agent, _ := made(t, c, "A")
	entered := make(chan struct{})
	tn.faults.setMatch(func(*http.Request) bool { return true }, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // the server looks for a hang-up after the body only
		select {
		case entered <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	})
	for name, call := range callsOf(withKeys(t, agent, "B")) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- call(ctx, c) }()
		<-entered
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) || !errors.Is(err, registry.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(DefaultTimeout / 2):
			t.Errorf("%s goes on", name)
		}
	}
}
