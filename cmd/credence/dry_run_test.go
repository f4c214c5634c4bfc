package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api"
)

// A dry run of a deletion asks nobody and deletes nothing.
func TestADeletionIsRehearsed(t *testing.T) {
	t.Parallel()
	plan := api.DryRun{DryRun: true, Plan: []api.PlannedCall{{Provider: "auth0", Action: "delete", Object: "client"}}}
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"GET /agents/support-triage": answer(200, triage()),
		"DELETE /agents/" + testID: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("dry_run") != "true" {
				t.Errorf("the server is asked to delete: %s", r.URL)
			}
			answer(200, plan)(w, r)
		},
	})
	c := at(server)
	c.human = true
	c.mustRun(t, "agent", "delete", "--dry-run", "support-triage")
	want(t, "stdout", `
		support-triage (0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b)
		Nothing was done. This would be:
		  auth0  delete  client
		`, c.out)
}

func TestADryRunOfNothingSaysSo(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{
		"POST /agents/support-triage/suspend": answer(200, api.DryRun{DryRun: true, Plan: []api.PlannedCall{}}),
	}))
	c.mustRun(t, "agent", "suspend", "support-triage", "--reason", "again", "--dry-run")
	want(t, "stdout", "Nothing was done, and no provider would be asked for anything.\n", c.out)
}

// What is missing on the command line is wrong usage, like what is too much.
func TestAMissingFlagIsWrongUsage(t *testing.T) {
	t.Parallel()
	server := registrar(t)
	for _, args := range []string{
		"suspend support-triage", "resume support-triage", "transfer support-triage --to platform", "adopt --name support-triage",
	} {
		c := at(server)
		if code := c.run(t.Context(), append([]string{"agent"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(c.err, "required flag") {
			t.Errorf("%s: exit code %d, want %d:\n%s", args, code, exitUsage, c.err)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}
