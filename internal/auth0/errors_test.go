package auth0

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestRetryAfterIsReadAndBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for name, row := range map[string]struct {
		header []string
		want   time.Duration
	}{
		"nothing":                           {nil, 0},
		"seconds":                           {[]string{"Retry-After", "7"}, 7 * time.Second},
		"a date":                            {[]string{"Retry-After", now.Add(9 * time.Second).UTC().Format(http.TimeFormat)}, 9 * time.Second},
		"rubbish":                           {[]string{"Retry-After", "soon"}, 0},
		"zero":                              {[]string{"Retry-After", "0"}, time.Second},
		"negative":                          {[]string{"Retry-After", "-5"}, time.Second},
		"a day":                             {[]string{"Retry-After", "86400"}, 5 * time.Minute},
		"more than an integer holds":        {[]string{"Retry-After", "99999999999999999999"}, 0},
		"reset":                             {[]string{"X-Ratelimit-Reset", "1800000003", "X-Ratelimit-Remaining", "0"}, 3 * time.Second},
		"reset without remaining":           {[]string{"X-Ratelimit-Reset", "1800000003"}, 3 * time.Second},
		"reset in the past":                 {[]string{"X-Ratelimit-Reset", "1700000000", "X-Ratelimit-Remaining", "0"}, time.Second},
		"reset far away":                    {[]string{"X-Ratelimit-Reset", "9999999999999", "X-Ratelimit-Remaining", "0"}, 5 * time.Minute},
		"reset of a limit that is not used": {[]string{"X-Ratelimit-Reset", "1800000003", "X-Ratelimit-Remaining", "4"}, 0},
		"Retry-After before reset":          {[]string{"Retry-After", "2", "X-Ratelimit-Reset", "1800000030"}, 2 * time.Second},
	} {
		h := http.Header{}
		for i := 0; i < len(row.header); i += 2 {
			h.Set(row.header[i], row.header[i+1])
		}
		if got := retryAfter(h, now); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestTranslateTellsRefusedFromUnavailable(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		kind registry.Kind
		says string
	}{
		"a bad request":            {&responseError{status: 400, code: "invalid_body"}, registry.Refused, "refused to create"},
		"a missing scope":          {&responseError{status: 403, code: "insufficient_scope"}, registry.Refused, "grant the scope create:clients"},
		"the entity limit by code": {&responseError{status: 403, code: "too_many_entities"}, registry.Refused, "limit is reached"},
		"the entity limit by text": {&responseError{status: 403, text: "You reached the limit of entities of this type for this tenant."}, registry.Refused, "upgrade the plan"},
		"our own credentials":      {&responseError{status: 401, path: tokenPath, code: "access_denied"}, registry.Refused, "check the client id and secret"},
		"our own authorization":    {&responseError{status: 403, path: tokenPath, code: "access_denied"}, registry.Refused, "authorized for the Management API"},
		"an old token":             {&responseError{status: 401, path: "/api/v2/clients"}, registry.Unavailable, "not available"},
		"the rate limit":           {&responseError{status: 429, retryAfter: 4 * time.Second}, registry.Unavailable, "rate limit"},
		"a request timeout":        {&responseError{status: 408}, registry.Unavailable, "not available"},
		"a redirect":               {&responseError{status: 307}, registry.Unavailable, "not available"},
		"a broken server":          {&responseError{status: 500, path: tokenPath, text: "Global limit has been reached"}, registry.Unavailable, "not available"},
		"a broken gateway":         {&responseError{status: 502}, registry.Unavailable, "not available"},
		"a transport error":        {errors.New("connection reset by peer"), registry.Unavailable, "not available"},
		"a deadline":               {context.DeadlineExceeded, registry.Unavailable, "not available"},
	} {
		known, ok := registry.AsError(opCreateClient.translate(row.err))
		if !ok || known.Kind != row.kind || !strings.Contains(known.Message, row.says) {
			t.Errorf("%s: %+v", name, known)
		}
	}
}

func TestTranslateKeepsWhatCallersActOn(t *testing.T) {
	t.Parallel()
	err := opCreateClient.translate(&responseError{method: "POST", path: "/api/v2/clients", status: 429, code: "too_many_requests", text: "raw words", retryAfter: 4 * time.Second})
	known, _ := registry.AsError(err)
	got := *known
	got.Err = nil
	want := registry.Error{
		Kind: registry.Unavailable, Code: "identity_provider_unavailable",
		Message: "Auth0's rate limit is reached: could not create the agent's application", RetryAfter: 4 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if strings.Contains(known.Message, "raw words") || !strings.Contains(err.Error(), "raw words") {
		t.Errorf("Auth0's words belong into the cause alone: %v", err)
	}
	if err := opPing.translate(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call is not known as such: %v", err)
	}
}

func TestRedactRemovesWhatLooksLikeASecret(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	const dense = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6"
	for in, want := range map[string]string{
		"Bad audience: https://mcp.example.com/":            "Bad audience: https://mcp.example.com/",
		"client 4f1aB2c3d4E5f6a7B8c9d0E1f2a3B4c5":           "client 4f1aB2c3d4E5f6a7B8c9d0E1f2a3B4c5",
		"agent_0197c2a0-1111-7abc-8def-0123456789ab exists": "agent_0197c2a0-1111-7abc-8def-0123456789ab exists",
		`{"client_secret":"short"}`:                         `{"client_secret":"[redacted]"}`,
		`{\"client_secret\":\"short\"}`:                     `{\"client_secret\":\"[redacted]\"}`,
		"client_secret=a%2Bb&grant_type=x":                  "client_secret=[redacted]&grant_type=x",
		"Authorization: Bearer abc.def":                     "Authorization: Bearer [redacted]",
		"sent Basic dXNlcjpwdw==":                           "sent Basic [redacted]",
		"token " + jwt + " expired":                         "token [redacted] expired",
		"value " + dense:                                    "value [redacted]",
		"vault hvs.CAESIJ0123456789abcdef":                  "vault [redacted]",
		"bao s.0123456789abcdefghijklmn":                    "bao [redacted]",
		"ours crd_0123456789abcdef0123":                     "ours [redacted]",
		"given p@ss+word and p%40ss%2Bword too":             "given [redacted] and [redacted] too",
	} {
		if got := redact(in, "p@ss+word", ""); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRedactCutsLongTextAtARune(t *testing.T) {
	t.Parallel()
	if got := redact(strings.Repeat("ä ", 1000)); len(got) > maxCause || strings.ContainsRune(got, '\uFFFD') || !strings.HasPrefix(got, "ä ä") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
