package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// sent is a request as a server saw it, with what is special about it.
type sent struct{ Method, URI, ContentType, Key, IfMatch, Body string }

// sentBy returns what do sends, to a server that answers with accept.
func sentBy(t *testing.T, accept http.HandlerFunc, do func(context.Context, *Client) (Answer, error)) (sent, Answer) {
	t.Helper()
	var seen sent
	server := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Key, seen.IfMatch = r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match")
		accept(w, r)
	})
	answer, err := do(t.Context(), newClient(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	c := server.seen()[0]
	seen.Method, seen.URI, seen.ContentType, seen.Body = c.Method, c.URI, c.ContentType, c.Body
	return seen, answer
}

func TestChangesOfAnAgentAreSentAsTheContractSays(t *testing.T) {
	t.Parallel()
	const mediaJSON = "application/json"
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	when := WriteOptions{IfMatch: `"a.1"`}
	dry := WriteOptions{DryRun: true}
	for name, tc := range map[string]struct {
		do   func(context.Context, *Client) (Answer, error)
		want sent
	}{
		"registering with a key": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.RegisterAgent(ctx, []byte(`{}`), RegisterOptions{IdempotencyKey: `a"b\c`})
			},
			sent{"POST", "/agents", mediaJSON, `"a\"b\\c"`, "", `{}`},
		},
		"rehearsing a registration": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.RegisterAgent(ctx, []byte(`{}`), RegisterOptions{DryRun: true})
			},
			sent{"POST", "/agents?dry_run=true", mediaJSON, "", "", `{}`},
		},
		"patching": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.PatchAgent(ctx, "triage", []byte(`{"owner":"a"}`), when)
			},
			sent{"PATCH", "/agents/triage", "application/merge-patch+json", "", `"a.1"`, `{"owner":"a"}`},
		},
		"suspending": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.SuspendAgent(ctx, "triage", Switch{Reason: "It leaked", RevokeTokens: true}, when)
			},
			sent{"POST", "/agents/triage/suspend", mediaJSON, "", `"a.1"`, `{"reason":"It leaked","revoke_tokens":true}`},
		},
		"rehearsing a resumption": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.ResumeAgent(ctx, "triage", Switch{Reason: "Found"}, dry)
			},
			sent{"POST", "/agents/triage/resume?dry_run=true", mediaJSON, "", "", `{"reason":"Found"}`},
		},
		"transferring": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.TransferAgent(ctx, testID, Transfer{Team: "cx", Owner: "a@example.com", Reason: "Moved"}, WriteOptions{})
			},
			sent{"POST", "/agents/" + testID + "/transfer", mediaJSON, "", "", `{"team":"cx","owner":"a@example.com","reason":"Moved"}`},
		},
		"rotating": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.RotateCredentials(ctx, "triage", Rotation{}, WriteOptions{})
			},
			sent{"POST", "/agents/triage/credentials", mediaJSON, "", "", `{}`},
		},
		"rotating to keys": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.RotateCredentials(ctx, "triage", Rotation{Keys: json.RawMessage(`{"keys":[]}`), ExpiresAt: &at}, WriteOptions{})
			},
			sent{"POST", "/agents/triage/credentials", mediaJSON, "", "", `{"jwks":{"keys":[]},"credentials_expire_at":"2026-03-01T12:00:00Z"}`},
		},
		"deleting": {
			func(ctx context.Context, c *Client) (Answer, error) { return c.DecommissionAgent(ctx, testID, when) },
			sent{"DELETE", "/agents/" + testID, "", "", `"a.1"`, ""},
		},
		"waiting": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.GetAgent(ctx, "triage", GetOptions{Wait: 20 * time.Second})
			},
			sent{"GET", "/agents/triage?timeout=20s&wait=ready", "", "", "", ""},
		},
		"reading a tombstone": {
			func(ctx context.Context, c *Client) (Answer, error) {
				return c.GetAgent(ctx, testID, GetOptions{Tombstones: true})
			},
			sent{"GET", "/agents/" + testID + "?include=decommissioned", "", "", "", ""},
		},
		"repairing": {
			func(ctx context.Context, c *Client) (Answer, error) {
				_, err := c.RepairDrift(ctx, "triage")
				return Answer{}, err
			},
			sent{"POST", "/drift/repair", mediaJSON, "", "", `{"agent":"triage"}`},
		},
		"repairing all": {
			func(ctx context.Context, c *Client) (Answer, error) {
				_, err := c.RepairDrift(ctx, "")
				return Answer{}, err
			},
			sent{"POST", "/drift/repair", "", "", "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := http.StatusOK
			if tc.want.URI == "/drift/repair" {
				status = http.StatusAccepted
			}
			got, _ := sentBy(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, status, map[string]any{}) }, tc.do)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnswerTellsWhatItsHeadersSay(t *testing.T) {
	t.Parallel()
	register := func(ctx context.Context, c *Client) (Answer, error) {
		return c.RegisterAgent(ctx, []byte(`{}`), RegisterOptions{IdempotencyKey: "k"})
	}
	_, got := sentBy(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"a.1"`)
		w.Header().Set("Retry-After", "3")
		w.Header().Set("Idempotency-Replayed", "true")
		answerJSON(w, http.StatusAccepted, map[string]any{"next": []string{}})
	}, register)
	want := Answer{Document: json.RawMessage("{\"next\":[]}\n"), ETag: `"a.1"`, Accepted: true, Replayed: true, RetryAfter: 3 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	_, got = sentBy(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		func(ctx context.Context, c *Client) (Answer, error) {
			return c.DecommissionAgent(ctx, testID, WriteOptions{})
		})
	if diff := cmp.Diff(Answer{}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// With a key a registration is sent until its answer is known; without one only
// once, since it might make a second agent.
func TestOnlyARegistrationWithAKeyIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, key string
		status    int // of the first answer; 0: it is lost
		code      string
		want      int // requests
	}{
		{"lost, with a key", "k", 0, "", 2},
		{"lost, without", "", 0, "", 1},
		{"still running, with a key", "k", 409, "idempotency_key_in_progress", 2},
		{"the name is taken, with a key", "k", 409, "name_taken", 1},
		{"away, with a key", "k", 503, "unavailable", 2},
		{"away, without", "", 503, "unavailable", 1},
		{"the key is another's", "k", 422, "idempotency_key_reused", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				c, err := New(Options{URL: "http://127.0.0.1:1", Token: staticToken, HTTPClient: &http.Client{Transport: transportFunc(
					func(*http.Request) (*http.Response, error) {
						switch n++; {
						case n > 1:
							return response(http.StatusCreated, http.Header{"Content-Type": {"application/json"}}, `{}`), nil
						case tc.status == 0:
							return nil, errors.New("connection reset by peer")
						default:
							header := http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {"2"}}
							return response(tc.status, header, fmt.Sprintf(`{"status": %d, "code": %q}`, tc.status, tc.code)), nil
						}
					})}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.RegisterAgent(t.Context(), []byte(`{}`), RegisterOptions{IdempotencyKey: tc.key})
				if n != tc.want || (err == nil) != (tc.want > 1) {
					t.Errorf("%d requests, want %d; error %v", n, tc.want, err)
				}
			})
		})
	}
}

func TestARegistrationThatIsNotReadyIsNoSuccessForWhoNeedsTheSecret(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2")
		answerJSON(w, http.StatusAccepted, map[string]any{"next": []string{}})
	})
	_, err := newClient(t, server.URL).Register(t.Context(), []byte(`{}`))
	if e, ok := registry.AsError(err); !ok || e.Code != NotReady || e.RetryAfter != 2*time.Second || !errors.Is(err, registry.Unavailable) {
		t.Errorf("Register() = %v, want Unavailable %s", err, NotReady)
	}
}

func TestListsOfTheOperatorAreFiltered(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		items := []any{map[string]any{"id": 7}}
		if r.URL.Path == "/agents" {
			items = nil
		}
		answerJSON(w, http.StatusOK, map[string]any{"items": items})
	})
	c := newClient(t, server.URL)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for e, err := range c.Audit(t.Context(), AuditFilter{Agent: "triage", Actor: "auth0|ana", Action: "agent.register", From: at, Until: at.Add(time.Hour), PageSize: 9}) {
		if e.ID != 7 || err != nil {
			t.Errorf("event %+v, %v", e, err)
		}
	}
	for d, err := range c.Drift(t.Context()) {
		if d.ID != 7 || err != nil {
			t.Errorf("drift %+v, %v", d, err)
		}
	}
	for _, err := range c.Agents(t.Context(), AgentFilter{ExpiresBefore: at}) {
		if err != nil {
			t.Error(err)
		}
	}
	var uris []string
	for _, s := range server.seen() {
		uris = append(uris, s.URI)
	}
	want := []string{
		"/audit?action=agent.register&actor=auth0%7Cana&agent=triage&from=2026-03-01T12%3A00%3A00Z&limit=9&until=2026-03-01T13%3A00%3A00Z",
		"/drift", "/agents?expires_before=2026-03-01T12%3A00%3A00Z",
	}
	if diff := cmp.Diff(want, uris); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAWaitIsGivenTheTimeItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, err := New(Options{URL: "https://credence.example.com", Token: staticToken, HTTPClient: &http.Client{Transport: silent}, Timeout: 7 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err = c.GetAgent(t.Context(), "triage", GetOptions{Wait: time.Minute}); err == nil || time.Since(begin) != 67*time.Second {
			t.Errorf("after %s: %v, want a timeout after 1m7s", time.Since(begin), err)
		}
	})
}
