package apiclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

const testID = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"

func TestOnlyWhatMayBeRepeatedIsRepeated(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Sent   int
		Waited time.Duration
		Done   bool
	}
	get := func(ctx context.Context, c *Client) error { _, err := c.Agent(ctx, "triage"); return err }
	list := func(ctx context.Context, c *Client) error {
		for _, err := range c.Agents(ctx, AgentFilter{}) {
			return err
		}
		return nil
	}
	post := func(ctx context.Context, c *Client) error { _, err := c.Register(ctx, []byte(`{}`)); return err }
	deleteID := func(ctx context.Context, c *Client) error { return c.DeleteAgent(ctx, testID) }
	deleteName := func(ctx context.Context, c *Client) error { return c.DeleteAgent(ctx, "triage") }
	for _, tt := range []struct {
		name     string
		do       func(context.Context, *Client) error
		status   int // of all answers but those after fails
		after    string
		fails    int
		deadline time.Duration
		want     outcome
	}{
		{name: "GET", do: get, status: 503, after: "3", fails: 2, want: outcome{3, 6 * time.Second, true}},
		{name: "a page", do: list, status: 503, after: "3", fails: 1, want: outcome{2, 3 * time.Second, true}},
		{name: "DELETE by id", do: deleteID, status: 503, after: "3", fails: 1, want: outcome{2, 3 * time.Second, true}},
		{name: "DELETE by name", do: deleteName, status: 503, after: "3", fails: 1, want: outcome{1, 0, false}},
		{name: "POST", do: post, status: 503, after: "3", fails: 1, want: outcome{1, 0, false}},
		{name: "for ever", do: get, status: 503, after: "3", fails: 99, want: outcome{4, 9 * time.Second, false}},
		{name: "no time named", do: get, status: 503, after: "", fails: 1, want: outcome{1, 0, false}},
		{name: "a date", do: get, status: 503, after: "Wed, 21 Oct 2026 07:28:00 GMT", fails: 1, want: outcome{1, 0, false}},
		{name: "too long", do: get, status: 503, after: "31", fails: 1, want: outcome{1, 0, false}},
		{name: "longer than there is", do: get, status: 503, after: "3", fails: 1, deadline: 2 * time.Second, want: outcome{1, 0, false}},
		{name: "another status", do: get, status: 502, after: "3", fails: 1, want: outcome{1, 0, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got outcome
				transport := transportFunc(func(r *http.Request) (*http.Response, error) {
					got.Sent++
					if got.Sent <= tt.fails {
						return response(tt.status, http.Header{"Retry-After": {tt.after}}, ""), nil
					}
					if r.Method == http.MethodDelete {
						return response(http.StatusNoContent, nil, ""), nil
					}
					return response(http.StatusOK, http.Header{"Content-Type": {"application/json"}}, `{}`), nil
				})
				c, err := New(Options{URL: "https://credence.example.com", Token: staticToken, HTTPClient: &http.Client{Transport: transport}})
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				begin := time.Now()
				err = tt.do(ctx, c)
				got.Waited, got.Done = time.Since(begin), err == nil
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s\nerror: %v", diff, err)
				}
			})
		})
	}
}

func TestARequestEndsWithItsTimeoutAndWithItsCaller(t *testing.T) {
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
		_, err = c.Agent(t.Context(), "triage")
		if e, ok := registry.AsError(err); !ok || e.Kind != registry.Unavailable || e.Code != "timeout" || time.Since(begin) != 7*time.Second {
			t.Errorf("after %s: %v, want a timeout after 7s", time.Since(begin), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err = c.Agent(ctx, "triage"); !errors.Is(err, context.Canceled) || errors.Is(err, registry.Unavailable) {
			t.Errorf("cancelled: %v, want the caller's own cancellation", err)
		}
	})
}

func TestAnAnswerIsReadUpToABound(t *testing.T) {
	t.Parallel()
	endless := transportFunc(func(*http.Request) (*http.Response, error) {
		r := response(http.StatusOK, http.Header{"Content-Type": {"application/json"}}, "")
		r.Body = io.NopCloser(endlessSpaces{})
		return r, nil
	})
	c, err := New(Options{URL: "https://credence.example.com", Token: staticToken, HTTPClient: &http.Client{Transport: endless}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent(t.Context(), "triage"); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("Agent = %v, want an error for an answer without end", err)
	}
}

type endlessSpaces struct{}

func (endlessSpaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAProblemIsReadWhole(t *testing.T) {
	t.Parallel()
	detail := "the registration has 2 faults"
	faults := []api.FieldError{{Pointer: "/name", Code: "pattern", Detail: "must match"}, {Pointer: "", Code: "required", Detail: "team is missing"}}
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		answerProblem(w, api.Problem{
			Type: "https://credence.example/problems/invalid_registration", Title: "Invalid registration", Status: 422,
			Code: "invalid_registration", Detail: &detail, RequestID: "req-1", Errors: &faults,
		})
	})
	_, err := newClient(t, server.URL).Register(t.Context(), []byte(`{"name":"X"}`))
	want := &Problem{
		Status: 422, Code: "invalid_registration", Title: "Invalid registration", Detail: detail,
		RequestID: "req-1", Errors: faults, RetryAfter: 9 * time.Second,
	}
	got, _ := errors.AsType[*Problem](err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the problem (-want +got):\n%s", diff)
	}
	if !errors.Is(err, registry.Invalid) || errors.Is(err, registry.NotFound) {
		t.Errorf("%v is not of the kind Invalid alone", err)
	}
	wantCalls := []call{{Method: "POST", URI: "/agents", Authorization: "Bearer " + testToken, ContentType: "application/json", Body: `{"name":"X"}`}}
	if diff := cmp.Diff(wantCalls, server.seen()); diff != "" {
		t.Errorf("the server saw (-want +got):\n%s", diff)
	}
}

func TestAnAnswerThatIsNotCredencesSaysSoAndShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusBadGateway) },
		"a login page":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hunter2") },
		"a gateway's JSON": func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, http.StatusForbidden, map[string]string{"code": "hunter2", "detail": "hunter2"})
		},
		"no problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "hunter2")
		},
	} {
		_, err := newClient(t, newRecorder(t, h).URL).Agent(t.Context(), "triage")
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != "" || !strings.Contains(err.Error(), "not one of Credence's") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
