package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/registry"
)

// events are the agent's events, the oldest first.
func (b *bundle) events(t *testing.T, agentID string) []string {
	t.Helper()
	page, _, err := b.store.Audit(t.Context(), registry.AuditFilter{Agent: agentID, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, e := range page {
		text := fmt.Sprintf("%d %s %s by %s in %s from %s", e.Generation, e.Action, e.Outcome, e.Actor.Subject, e.Actor.RequestID, e.Actor.Source)
		if e.Detail != "" {
			text += ": " + e.Detail
		}
		events = append([]string{text}, events...)
	}
	return events
}

// The outcome of each change is told of whoever made it, whoever finished it
// (invariant C6).
func TestInvariant_C6_OutcomesAreThoseOfWhoMadeTheChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	act := func(who, action, detail string, apply func(*registry.Agent)) *registry.Lease {
		u := change(action, apply)
		u.Detail, u.By = detail, registry.Actor{Subject: who, RequestID: "request-of-" + who, Source: "192.0.2.7"}
		_, lease, err := b.store.UpdateAgent(t.Context(), a.ID, u)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	lease := act("bo", "agent.suspend", "leaked", suspend)
	if err := b.store.IssueCredentials(t.Context(), *lease, nil); err != nil {
		t.Fatal(err)
	}
	act("cy", "agent.change", "", describe("meanwhile"))
	if overtaken, err := b.store.FinishPass(t.Context(), *lease, registry.Finish{Generation: 2}); err != nil || overtaken.Convergence.Converged() {
		t.Fatalf("a pass that was overtaken: %+v, %v", overtaken.Convergence, err)
	}
	for range 2 { // the second pass has brought nothing about
		c, _, err := b.store.ClaimAgent(t.Context(), a.ID, long)
		if err != nil {
			t.Fatal(err)
		}
		b.finish(t, c.Lease)
	}
	failed := act("di", "agent.resume", "", describe("once more"))
	act("ed", "agent.decommission", "", remove)
	if err := b.store.PostponePass(t.Context(), *failed, "it does not answer", 0); err != nil {
		t.Fatal(err)
	}
	c, _, err := b.store.ClaimAgent(t.Context(), a.ID, long)
	if err != nil {
		t.Fatal(err)
	}
	b.finish(t, c.Lease)
	of := func(who string) string { return " by " + who + " in request-of-" + who + " from 192.0.2.7" }
	wantEqual(t, "events", []string{
		"1 agent.register intent by auth0|alice in request-1 from ",
		"1 agent.register success by auth0|alice in request-1 from ",
		"2 agent.suspend intent" + of("bo") + ": leaked",
		"2 agent.issue_credentials success" + of("bo") + ": credential generation 2",
		"3 agent.change intent" + of("cy"),
		"2 agent.suspend success" + of("bo"),
		"3 agent.change success" + of("cy"),
		"4 agent.resume intent" + of("di"),
		"5 agent.decommission intent" + of("ed"),
		"4 agent.resume failure" + of("di") + ": the agent was removed first",
		"5 agent.decommission success" + of("ed"),
	}, b.events(t, a.ID))
}

// The providers agree with the registry whether or not there are new credentials:
// that a pass ends does not mean that there are (invariant C6).
func TestInvariant_C6_ARotationSucceedsOnlyWhenItIssuedCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	before := len(b.events(t, a.ID))
	sign := func(a *registry.Agent) { a.Authentication, a.Keys = registry.PrivateKeyJWT, []byte(`{"keys": []}`) }
	for _, tt := range []struct {
		action string
		apply  func(*registry.Agent)
		issues bool
	}{
		{"agent.rotate", describe("rotated"), true}, {"agent.rotate", describe("not rotated"), false},
		{"agent.reissue", describe("reissued"), true}, {"agent.reissue", describe("not reissued"), false},
		{"agent.rotate", sign, true}, {"agent.change", describe("of no credentials"), false},
	} {
		_, lease := b.update(t, a.ID, tt.action, tt.apply)
		if tt.issues {
			if err := b.store.IssueCredentials(t.Context(), *lease, nil); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := b.store.PostponePass(t.Context(), *lease, "it does not answer", 0); err != nil {
				t.Fatal(err)
			}
			c, _, err := b.store.ClaimAgent(t.Context(), a.ID, long)
			if err != nil {
				t.Fatal(err)
			}
			lease = &c.Lease
		}
		b.finish(t, *lease)
	}
	// What another request issued is not the first one's.
	_, first := b.update(t, a.ID, "agent.rotate", describe("failed"))
	if err := b.store.PostponePass(t.Context(), *first, "it does not answer", 0); err != nil {
		t.Fatal(err)
	}
	_, second := b.update(t, a.ID, "agent.rotate", describe("repeated"))
	if err := b.store.IssueCredentials(t.Context(), *second, nil); err != nil {
		t.Fatal(err)
	}
	b.finish(t, *second)
	const who, none = " by auth0|alice in request-1 from ", ": no credentials were issued; repeat the call"
	wantEqual(t, "events", []string{
		"2 agent.rotate intent" + who, "2 agent.issue_credentials success" + who + ": credential generation 2", "2 agent.rotate success" + who,
		"3 agent.rotate intent" + who, "3 agent.rotate failure" + who + none,
		"4 agent.reissue intent" + who, "4 agent.issue_credentials success" + who + ": credential generation 3", "4 agent.reissue success" + who,
		"5 agent.reissue intent" + who, "5 agent.reissue failure" + who + none,
		"6 agent.rotate intent" + who, "6 agent.issue_credentials success" + who + ": credential generation 4", "6 agent.rotate success" + who,
		"7 agent.change intent" + who, "7 agent.change success" + who,
		"8 agent.rotate intent" + who, "9 agent.rotate intent" + who, "9 agent.issue_credentials success" + who + ": credential generation 5",
		"8 agent.rotate failure" + who + none, "9 agent.rotate success" + who,
	}, b.events(t, a.ID)[before:])
}

func TestAChangeIsLoggedWithWhatWasAndWhatIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	b.update(t, a.ID, "agent.suspend", func(a *registry.Agent) {
		suspend(a)
		a.ExpiresAt = time.Date(2100, 1, 2, 3, 4, 5, 6_000, time.UTC)
	})
	page, _, err := b.store.Audit(t.Context(), registry.AuditFilter{Agent: "triage", Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	shown := func(more string) string {
		return fmt.Sprintf(`{"id":%q,"name":"triage","team":"customer-success","agent_type":"support","environment":"production",
			"owner":"ana@example.com","description":"","scopes":["skills:invoke"],"capabilities":[{"name":"triage"}],"labels":{},"config":{},
			"quota":{},"lifecycle":"active","authentication":"client_secret_post",%s}`, a.ID, more)
	}
	before, after := shown(`"suspended":false`), shown(`"suspended":true,"suspend_reason":"leaked its secret","expires_at":"2100-01-02T03:04:05.000006Z"`)
	for _, tt := range []struct {
		what, want string
		got        json.RawMessage
	}{
		{"before the suspension", before, page[0].Before}, {"after the suspension", after, page[0].After},
		{"before the registration", "", page[2].Before}, {"after the registration", before, page[2].After},
		{"before, of an outcome", "", page[1].Before}, {"after, of an outcome", "", page[1].After},
	} {
		if diff := cmp.Diff(decode(t, tt.want), decode(t, string(tt.got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

func TestADocumentIsLoggedWithWhatWasAndWhatIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, schema := range []string{`{"type":  "object"}`, ""} {
		agentType := registry.AgentType{Name: "support", AllowedScopes: []string{"data:read"}}
		if schema != "" {
			agentType.Schema = []byte(schema)
		}
		if _, _, err := b.store.PutAgentType(t.Context(), agentType, some, alice); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.DeleteAgentType(t.Context(), "support", some, alice); err != nil {
		t.Fatal(err)
	}
	page, _, err := b.store.Audit(t.Context(), registry.AuditFilter{Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]any
	for _, e := range page {
		got = append(got, [2]any{decode(t, string(e.Before)), decode(t, string(e.After))})
	}
	shown := func(schema string) any {
		return decode(t, `{"name":"support","schema":`+schema+`,"default_scopes":[],"allowed_scopes":["data:read"],"allowed_environments":[],
			"default_quota":{},"max_quota":null}`)
	}
	with, without := shown(`{"type":"object"}`), shown("null")
	wantEqual(t, "before and after, the newest first", [][2]any{{without, nil}, {with, without}, {nil, with}}, got)
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheAuditLogIsReadFromItsEndAndFiltered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const id = "0197c000-0000-7000-8000-00000000000a"
	var written []registry.AuditEvent
	for i, e := range []registry.AuditEvent{
		{Action: "agent.register", ObjectKind: "agent", ObjectID: id, ObjectName: "triage", Team: "red", Actor: registry.Actor{Subject: "ana", RequestID: "r", Source: "192.0.2.1"}, Before: []byte(`{"a":  1}`), After: []byte(`[]`), Generation: 7},
		{Action: "agent.change", ObjectKind: "agent", ObjectID: id, ObjectName: "triage", Team: "red", Actor: registry.Actor{Subject: "bo"}},
		{Action: "agent.change", ObjectKind: "agent", ObjectID: "0197c000-0000-7000-8000-00000000000b", ObjectName: "triage", Team: "blue", Actor: registry.Actor{Subject: "ana"}},
		{Action: "team.put", ObjectKind: "team", ObjectID: "triage", ObjectName: "triage", Actor: registry.Actor{Subject: "ana"}},
	} {
		e.Outcome, e.Detail = registry.Denied, fmt.Sprint(i)
		if err := b.store.RecordAudit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		written = append([]registry.AuditEvent{e}, written...)
	}
	all, more, err := b.store.Audit(t.Context(), registry.AuditFilter{Limit: 4})
	if err != nil || more {
		t.Fatalf("Audit() more %t, error %v", more, err)
	}
	if diff := cmp.Diff(written, all, cmpopts.IgnoreFields(registry.AuditEvent{}, "ID", "At")); diff != "" {
		t.Errorf("Audit() (-written +read):\n%s", diff)
	}
	at := func(i int) time.Time { return all[3-i].At }
	for _, tt := range []struct {
		name   string
		filter registry.AuditFilter
		want   string
		more   bool
	}{
		{"the newest", registry.AuditFilter{Limit: 2}, "3 2", true},
		{"the next", registry.AuditFilter{Limit: 2, Before: all[1].ID}, "1 0", false},
		{"an id", registry.AuditFilter{Agent: strings.ToUpper(id)}, "1 0", false},
		{"a name at the time", registry.AuditFilter{Agent: "triage"}, "2 1 0", false},
		{"a team", registry.AuditFilter{Teams: []string{"red", "green"}}, "1 0", false},
		{"no team", registry.AuditFilter{Teams: []string{}}, "", false},
		{"an actor", registry.AuditFilter{Actor: "ana"}, "3 2 0", false},
		{"an action", registry.AuditFilter{Action: "agent.change"}, "2 1", false},
		{"from, which is in it", registry.AuditFilter{From: at(1)}, "3 2 1", false},
		{"until, which is not", registry.AuditFilter{Until: at(1)}, "0", false},
		{"everything at once", registry.AuditFilter{Teams: []string{"red"}, Agent: id, Actor: "ana", Action: "agent.register", From: at(0), Until: at(1), Before: all[0].ID}, "0", false},
		{"no injection", registry.AuditFilter{Actor: "' OR true --"}, "", false},
	} {
		if tt.filter.Limit == 0 {
			tt.filter.Limit = 10
		}
		page, more, err := b.store.Audit(t.Context(), tt.filter)
		if err != nil || more != tt.more {
			t.Errorf("%s: more %t, error %v", tt.name, more, err)
		}
		var got []string
		for _, e := range page {
			got = append(got, e.Detail)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: events %v, want %s", tt.name, got, tt.want)
		}
	}
}

// Documents before and after may be large; many may read the log at once.
func TestAPageOfLargeEventsEndsEarly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := registry.AuditEvent{Action: "a", Outcome: registry.Intent, ObjectKind: "agent", After: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	for range 7 {
		if err := b.store.RecordAudit(t.Context(), large); err != nil {
			t.Fatal(err)
		}
	}
	page, more, err := b.store.Audit(t.Context(), registry.AuditFilter{Limit: 100})
	if err != nil || !more || len(page) == 0 || len(page) > 5 {
		t.Errorf("a page of %d events of 1 MiB, more %t, error %v", len(page), more, err)
	}
}

// Not even the owner of the tables rewrites the log.
func TestTheAuditLogIsOnlyEverAddedTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.store.RecordAudit(t.Context(), registry.AuditEvent{Action: "a", Outcome: registry.Denied, ObjectKind: "agent"}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE audit_events SET actor = 'somebody else'`, `DELETE FROM audit_events`, `TRUNCATE audit_events`,
		`UPDATE audit_events SET actor = 'x' WHERE false`,
		`SET session_replication_role = replica; DELETE FROM audit_events`,
	} {
		if _, err := b.pool.Exec(t.Context(), sql); !contains(err, "are only ever added") {
			t.Errorf("%s: error = %v, want a refusal", sql, err)
		}
	}
}
