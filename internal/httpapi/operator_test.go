package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// auditLog is a log with events of several teams.
type auditLog struct{ asked []registry.AuditFilter }

func (l *auditLog) Audit(_ context.Context, f registry.AuditFilter) ([]registry.AuditEvent, bool, error) {
	l.asked = append(l.asked, f)
	events := []registry.AuditEvent{
		{
			ID: 43, At: noon.In(time.FixedZone("", 3600)), Actor: registry.Actor{Subject: "auth0|ana", RequestID: "request-1", Source: "192.0.2.7"}, Action: "agent.suspend",
			Outcome: registry.Success, ObjectKind: "agent", ObjectID: agentID, ObjectName: "support-triage", Team: "customer-success", Detail: "It leaked",
			Before: json.RawMessage(`{"suspended":false}`), After: json.RawMessage(`{"suspended":true}`), Generation: 3,
		},
		{ID: 42, At: noon, Actor: registry.Actor{Subject: "credence:expiry"}, Action: "agent.expire", Outcome: registry.Intent, ObjectKind: "agent"},
	}
	if f.Before > 0 {
		return events[1:], false, nil
	}
	return events[:1], true, nil
}

func TestTheAuditLogIsReadNewestFirst(t *testing.T) {
	t.Parallel()
	log := &auditLog{}
	f := newFixture(t, func(o *Options) { o.Audit = log })
	first := f.do(call{method: http.MethodGet, as: "admin", path: "/audit?agent=support-triage&actor=auth0%7Cana&action=agent.suspend" +
		"&from=2026-03-01T12:00:00Z&until=2026-03-01T14:00:00%2B01:00&limit=1"})
	responseSchemas(t).response(t, "listAudit", first)
	var page api.AuditPage
	if err := json.Unmarshal(first.Body.Bytes(), &page); err != nil || page.NextCursor == nil {
		t.Fatalf("%v: %s", err, first.Body)
	}
	want := []api.AuditEvent{{
		ID: 43, At: noon, Actor: "auth0|ana", Source: new("192.0.2.7"), RequestID: new("request-1"), Action: "agent.suspend", Outcome: api.Success,
		Object: api.AuditObject{Kind: "agent", ID: new(agentID), Name: new("support-triage")}, Team: new("customer-success"), Detail: new("It leaked"),
		Before: new(json.RawMessage(`{"suspended":false}`)), After: new(json.RawMessage(`{"suspended":true}`)),
	}}
	if diff := cmp.Diff(want, page.Items); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	second := f.do(call{method: http.MethodGet, as: "admin", path: "/audit?cursor=" + *page.NextCursor})
	responseSchemas(t).response(t, "listAudit", second)
	var rest api.AuditPage
	if err := json.Unmarshal(second.Body.Bytes(), &rest); err != nil || rest.NextCursor != nil || len(rest.Items) != 1 {
		t.Errorf("the last page is %s", second.Body)
	}
	asked := []registry.AuditFilter{
		{Agent: "support-triage", Actor: "auth0|ana", Action: "agent.suspend", From: noon, Until: noon.Add(time.Hour), Limit: 1},
		{Before: 43, Limit: 50},
	}
	if diff := cmp.Diff(asked, log.asked); diff != "" {
		t.Errorf("the log was asked for (-want +got):\n%s", diff)
	}
}

func TestWhoIsNoAdminSeesTheEventsOfTheirTeams(t *testing.T) {
	t.Parallel()
	log := &auditLog{}
	f := newFixture(t, func(o *Options) { o.Audit = log })
	for as, want := range map[string][]string{"admin": nil, "ana": {"customer-success"}, "ben": {"platform"}} {
		log.asked = nil
		if w := f.do(call{method: http.MethodGet, path: "/audit", as: as}); w.Code != http.StatusOK || len(log.asked) != 1 {
			t.Fatalf("%s: %d after %d questions: %s", as, w.Code, len(log.asked), w.Body)
		}
		if got := log.asked[0].Teams; !slices.Equal(got, want) {
			t.Errorf("%s sees the events of %q, want %q", as, got, want)
		}
	}
	log.asked = nil
	w := f.do(call{method: http.MethodGet, path: "/audit", as: "reader"}) // in no team
	if w.Code != http.StatusOK || w.Body.String() != `{"items":[]}`+"\n" || log.asked != nil {
		t.Errorf("who is in no team is answered %d %s", w.Code, w.Body)
	}
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/audit", as: "owner"}), http.StatusForbidden, "permission_denied")
}

// drifts knows two differences, and counts repairs.
type drifts struct {
	mu       sync.Mutex
	repaired []string
}

func (d *drifts) Drifts(_ context.Context, after int64, limit int) ([]registry.DriftRecord, bool, error) {
	all := []registry.DriftRecord{
		{ID: 7, FirstSeen: noon, LastSeen: noon.Add(time.Hour), Drift: registry.Drift{
			Provider: "auth0", ObjectKind: "client", ObjectID: "Qm4", AgentID: agentID, Field: "name", Expected: "a", Found: "b", Action: registry.DriftRepairing,
		}},
		{ID: 9, FirstSeen: noon, LastSeen: noon, Drift: registry.Drift{Provider: "vault", ObjectKind: "role", ObjectID: "agent", Field: "bound_claims", Action: registry.DriftReported}},
	}
	rest := slices.DeleteFunc(all, func(r registry.DriftRecord) bool { return r.ID <= after })
	if len(rest) > limit {
		return rest[:limit], true, nil
	}
	return rest, false, nil
}

func (d *drifts) Repair(_ context.Context, by registry.Principal, agent string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if agent == "nobody" {
		return 0, registry.NotFound.Errorf("not_found", "there is no agent of that name")
	}
	d.repaired = append(d.repaired, by.Subject+" "+agent)
	return len(d.repaired), nil
}

func TestDriftIsListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.Drift = &drifts{} })
	var got []int64
	for path := "/drift?limit=1"; path != ""; {
		w := f.do(call{method: http.MethodGet, path: path, as: "admin"})
		responseSchemas(t).response(t, "listDrift", w)
		var page api.DriftPage
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Items {
			got = append(got, d.ID)
		}
		path = ""
		if page.NextCursor != nil {
			path = "/drift?limit=1&cursor=" + *page.NextCursor
		}
	}
	wantEqual(t, "differences", []int64{7, 9}, got)
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/drift", as: "ana"}), http.StatusForbidden, "permission_denied")
}

func TestRepairsAreQueued(t *testing.T) {
	t.Parallel()
	d := &drifts{}
	f := newFixture(t, func(o *Options) { o.Drift = d })
	for i, body := range []string{"", `{"agent": "support-triage"}`, `{"agent": "` + agentID + `"}`} {
		w := f.do(call{method: http.MethodPost, path: "/drift/repair", as: "admin", body: body})
		responseSchemas(t).response(t, "repairDrift", w)
		var queued api.QueuedRepairs
		if err := json.Unmarshal(w.Body.Bytes(), &queued); err != nil || queued.Queued != i+1 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	wantEqual(t, "repairs", []string{"auth0|root ", "auth0|root support-triage", "auth0|root " + agentID}, d.repaired)
	wantProblem(t, f.do(call{method: http.MethodPost, path: "/drift/repair", as: "admin", body: `{"agent": "nobody"}`}), http.StatusNotFound, "not_found")
	wantProblem(t, f.do(call{method: http.MethodPost, path: "/drift/repair", as: "admin", body: `{"agent": "A B"}`}), http.StatusUnprocessableEntity, "invalid_repair")
}
