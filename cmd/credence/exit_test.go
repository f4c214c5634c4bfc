package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

func TestEveryStatusHasItsExitCode(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{
		400: 6, 413: 6, 415: 6, 422: 6,
		401: 4, 403: 4,
		404: 3,
		409: 5, 412: 5, 428: 5,
		429: 7, 503: 7, 504: 7,
		405: 1, 421: 1, 500: 1, 502: 1, 307: 1,
	} {
		server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/{name}": problem(status, "some_code", "some detail")})
		c := at(server)
		if got := c.run(t.Context(), "agent", "get", "support-triage"); got != want {
			t.Errorf("status %d: exit code %d, want %d\n%s", status, got, want, c.err)
		}
		if c.out != "" {
			t.Errorf("status %d: the failure wrote to stdout: %q", status, c.out)
		}
	}
}

func TestEveryKindHasItsExitCodeAndTheOutermostCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{&usageError{err: registry.NotFound.Errorf("x", "x")}, 2},
		{fmt.Errorf("y: %w", registry.NotFound.Errorf("x", "x")), 3},
		{registry.Unavailable.Wrap(registry.NotFound.Errorf("x", "x"), "x", "x"), 7},
		{registry.Kind("a new one").Errorf("x", "x"), 1},
		{context.DeadlineExceeded, 1},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	c := &terminal{dir: t.TempDir(), env: map[string]string{"CREDENCE_SERVER": away.URL, "CREDENCE_TOKEN": testToken}}
	if code := c.run(t.Context(), "agent", "register", "--name", "a"); code != exitUnavailable {
		t.Errorf("exit code %d, want %d", code, exitUnavailable)
	}
	if !strings.HasPrefix(c.err, "credence: cannot reach "+away.URL+": ") || !strings.HasSuffix(c.err, "\nIs it running, and is this its address?\n") {
		t.Errorf("stderr:\n%s", c.err)
	}
}

func TestAnErrorTellsEveryFaultAndWhatToDo(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": problem(422, "invalid_registration", "the registration has 2 faults",
		api.FieldError{Pointer: "/name", Code: "pattern", Detail: "must match\x1b]0;x"},
		api.FieldError{Pointer: "", Code: "required", Detail: "team is missing"})})
	c := at(server)
	if code := c.run(t.Context(), "agent", "register", "--name", "A"); code != exitRefused {
		t.Errorf("exit code %d, want %d", code, exitRefused)
	}
	want(t, "stderr", `
		credence: the registration has 2 faults (invalid_registration)
		  /name: must match\u001b]0;x
		  (document): team is missing
		Request id: req-7
		`, c.err)
}

func TestAdviceFitsTheProblem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		handler http.HandlerFunc
		want    string
	}{
		{problem(401, "invalid_token", "expired"), "CREDENCE_TOKEN"},
		{problem(403, "permission_denied", "no"), "--as admin"},
		{problem(404, "not_found", "no"), "credence agent list"},
		{problem(500, "internal", "no"), "server's log"},
		{func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "31") // longer than a client waits
			problem(503, "unavailable", "no")(w, r)
		}, "Try again in 31s."},
	} {
		c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/{name}": tt.handler}))
		c.run(t.Context(), "agent", "get", "support-triage")
		if !strings.Contains(c.err, tt.want) {
			t.Errorf("want %q in:\n%s", tt.want, c.err)
		}
	}
}

func TestWrongUsageIsSaidWithWhereToLookItUp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"agent gte":             "there is no command \"gte\"; did you mean \"get\"?\nRun 'credence agent --help'",
		"agnet":                 "did you mean \"agent\"?\nRun 'credence --help'",
		"agent get":             "accepts 1 arg(s), received 0\nRun 'credence agent get --help'",
		"agent list x":          "unknown command \"x\"",
		"agent list --bogus":    "unknown flag: --bogus\nRun 'credence agent list --help'",
		"agent list -o xml":     "it is one of table, json",
		"agent delete":          "requires at least 1 arg(s)",
		"agent register":        "describe the agent with -f",
		"token --claims -ojson": "exclude each other",
	} {
		c := &terminal{dir: t.TempDir()}
		if code := c.run(t.Context(), strings.Fields(args)...); code != exitUsage || !strings.Contains(c.err, want) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", args, code, exitUsage, want, c.err)
		}
	}
	c := &terminal{dir: t.TempDir()}
	if c.mustRun(t, "agent"); !strings.Contains(c.out, "Exit codes:") {
		t.Errorf("credence agent shows no help:\n%s", c.out)
	}
}

func TestAnInterruptedCommandHasNotDoneItsWork(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	c := at(server)
	if code := c.run(ctx, "agent", "register", "--name", "a"); code != exitFailure || errors.Is(c.failed, context.Canceled) {
		t.Errorf("exit code %d: %v; main would take it for a clean end", code, c.failed)
	}
}

func TestErrorsOfSeveralLinesStayReadable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	printError(&b, fmt.Errorf("the configuration is not usable:\n%w", errors.Join(errors.New("A is not set"), errors.New("B\x07 is wrong"))))
	want(t, "stderr", `
		credence: the configuration is not usable:
		  A is not set
		  B\u0007 is wrong
		`, b.String())
}

func TestGroupsAndArgumentsAreCheckedOnce(t *testing.T) {
	t.Parallel()
	leaf := &cobra.Command{Use: "leaf", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	root := &cobra.Command{Use: "root", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(leaf)
	withUsageErrors(withUsageErrors(root))
	root.SetArgs([]string{"leaf", "x"})
	err := root.Execute()
	if u, ok := errors.AsType[*usageError](err); !ok || u.command != "root leaf" {
		t.Errorf("Execute = %v, want a usage error of root leaf", err)
	}
}
