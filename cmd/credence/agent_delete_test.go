package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const otherID = "0197a1b2-c3d4-7e5f-8a9b-ffffffffffff"

func deletable(t *testing.T) *apiServer {
	t.Helper()
	return newAPIServer(t, map[string]http.HandlerFunc{
		"GET /agents/support-triage": answer(200, triage()),
		"GET /agents/{name}":         problem(404, "not_found", "there is no such agent"),
		"DELETE /agents/" + testID:   answer(204, nil),
		"DELETE /agents/" + otherID:  answer(204, nil),
	})
}

func TestDeleteFindsTheNameAndDeletesTheID(t *testing.T) {
	t.Parallel()
	server := deletable(t)
	c := at(server)
	c.mustRun(t, "agent", "delete", "support-triage", otherID)
	want(t, "stdout", "deleted support-triage ("+testID+")\ndeleted "+otherID+"\n", c.out)
	calls := []string{"GET /agents/support-triage", "DELETE /agents/" + testID, "DELETE /agents/" + otherID}
	if diff := cmp.Diff(calls, server.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	for _, who := range server.callers() {
		if who != "Bearer "+testToken {
			t.Errorf("a request was made as %q", who)
		}
	}
}

func TestIfAnyNameIsUnknownNothingIsDeleted(t *testing.T) {
	t.Parallel()
	server := deletable(t)
	c := at(server)
	if code := c.run(t.Context(), "agent", "delete", "support-triage", "nobody"); code != exitNotFound || !strings.Contains(c.err, "nothing was deleted: nobody: ") {
		t.Errorf("exit code %d, want %d\n%s", code, exitNotFound, c.err)
	}
	for _, call := range server.seen() {
		if strings.HasPrefix(call, "DELETE") {
			t.Errorf("the server saw %s", call)
		}
	}
}

func TestOnlySomebodyAtATerminalIsAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		human   bool
		stdin   string
		args    []string
		deleted bool
	}{
		{human: false, stdin: "", deleted: true},
		{human: true, stdin: "y\n", deleted: true},
		{human: true, stdin: "YES", deleted: true},
		{human: true, stdin: "\n", deleted: false},
		{human: true, stdin: "", deleted: false},
		{human: true, stdin: "no\ny\n", deleted: false},
		{human: true, stdin: strings.Repeat(" ", 1000) + "y\n", deleted: false},
		{human: true, stdin: "", args: []string{"--yes"}, deleted: true},
		{human: true, stdin: "", args: []string{"-y"}, deleted: true},
	} {
		server := deletable(t)
		c := at(server)
		c.human, c.stdin = tt.human, tt.stdin
		code := c.run(t.Context(), append([]string{"agent", "delete", "support-triage"}, tt.args...)...)
		if deleted := len(server.seen()) == 2; deleted != tt.deleted || deleted != (code == exitOK) {
			t.Errorf("%+v: deleted %t, exit code %d", tt, deleted, code)
		}
		asked := strings.Contains(c.err, "support-triage ("+testID+") of customer-success in production\nDelete for good? [y/N] ")
		if wantAsked := tt.human && tt.args == nil; asked != wantAsked {
			t.Errorf("%+v: asked %t:\n%s", tt, asked, c.err)
		}
	}
}

func TestAHalfDoneDeleteSaysWhatFinishesIt(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{
		"GET /agents/support-triage": answer(200, triage()),
		"DELETE /agents/" + testID:   problem(503, "secret_store_unavailable", "the secret store does not answer"),
	}))
	if code := c.run(t.Context(), "agent", "delete", "support-triage"); code != exitUnavailable {
		t.Errorf("exit code %d, want %d", code, exitUnavailable)
	}
	want(t, "stderr", `
		credence: delete support-triage (`+testID+`): the secret store does not answer (secret_store_unavailable)
		Request id: req-7
		This finishes it, and may be repeated: credence agent delete `+testID+`
		`, c.err)
}
