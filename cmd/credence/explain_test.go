package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const explained = `{"decision":{"allow":false,"allowed":false,"reasons":[{"tier":"team","id":"cx","code":"no_late_writes"}],
	"agent":{"id":"0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","name":"triage","team":"cx","agent_type":"support","environment":"production"},
	"resource":{"name":"billing","type":"data_sink","team":"finance"},"revision":42},
	"checks":[{"id":"token","code":"no_verified_token","holds":true,"text":"the token is good"},
		{"id":"access","code":"access_denied","holds":false,"text":"finance admits nobody\u001b[31m"}],
	"layers":[{"tier":"team","id":"cx","effect":"deny","revision":40,"rules":[
		{"code":"no_late_writes","effect":"deny","matched":true,"message":"Read-only at night","when":{"methods":["POST"]}},
		{"code":"own","effect":"allow","matched":false,"custom":true}]},
		{"tier":"global","id":"base","effect":"none","missing":true,"rules":[]}],
	"hints":["finance owns billing and can admit the team cx."]}`

func TestExplainShowsChecksLayersAndWhoCanChangeIt(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /explain": answer(200, json.RawMessage(explained))})
	c := at(server)
	if code := c.run(t.Context(), "explain", "triage", "post", "billing", "/pay", "--at", "2026-11-28T03:00:00+01:00"); code != exitFailure {
		t.Errorf("exit code %d, want %d: %s", code, exitFailure, c.err)
	}
	want(t, "stdout", `
		denied    at revision 42
		agent     triage (support of cx, in production)
		resource  billing (data_sink of finance)
		because   no_late_writes  team/cx

		CHECK
		token   holds          the token is good
		access  access_denied  finance admits nobody\u001b[31m

		LAYER        SAYS  RULE
		team/cx      deny  deny no_late_writes  matches         Read-only at night when {"methods":["POST"]}
		                   allow own            does not match  (custom Rego)
		global/base  missing

		finance owns billing and can admit the team cx.
		`, c.out)
	calls := []string{`POST /explain {"agent":"triage","resource":"billing","method":"POST","path":"/pay","time":"2026-11-28T03:00:00+01:00"}`}
	if diff := cmp.Diff(calls, server.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestExplainOfAnAgentIsATableOfWhatItMayCall(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"": `{"items":[{"resource":{"name":"billing","type":"data_sink","team":"finance"},"methods":[
			{"method":"GET","allow":true,"reasons":[]},{"method":"POST","allow":false,"reasons":[{"tier":"team","id":"cx","code":"no_late_writes"}]}]}],"next_cursor":"2"}`,
		"2": `{"items":[{"resource":{"name":"hello","type":"skill","team":"platform"},"methods":[{"method":"POST","allow":true,"reasons":[]}]}]}`,
	}
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"POST /explain": func(w http.ResponseWriter, r *http.Request) {
		answer(200, json.RawMessage(pages[r.URL.Query().Get("cursor")]))(w, r)
	}}))
	c.mustRun(t, "explain", "triage")
	want(t, "stdout", `
		RESOURCE  TYPE       TEAM      MAY   MAY NOT  BECAUSE
		billing   data_sink  finance   GET   POST     no_late_writes (team/cx)
		hello     skill      platform  POST
		`, c.out)
}

func TestExplainNamesACallOrAnAgent(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"triage", "POST"}, {"triage", "POST", "billing", "/", "more"}, {"triage", "POST", "billing", "--at", "noon"}} {
		c := at(newAPIServer(t, nil))
		if code := c.run(t.Context(), append([]string{"explain"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d: %s", args, code, exitUsage, c.err)
		}
	}
}
