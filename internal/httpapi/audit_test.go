package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
)

func TestInvariant_C6_RefusedWritesAreAudited(t *testing.T) {
	t.Parallel()
	denied := func(subject, action, kind, detail string) registry.AuditEvent {
		return registry.AuditEvent{
			Actor: registry.Actor{Subject: subject, RequestID: "request-1", Source: "192.0.2.1"}, Action: action, Outcome: registry.Denied, ObjectKind: kind, Detail: detail,
		}
	}
	named := func(e registry.AuditEvent, name string) registry.AuditEvent { e.ObjectName = name; return e }
	withID := func(e registry.AuditEvent, id string) registry.AuditEvent { e.ObjectID = id; return e }
	for name, tc := range map[string]struct {
		call
		want []registry.AuditEvent
	}{
		"registering without the permission": {
			call{method: http.MethodPost, path: "/agents", as: "reader", body: `{"name": "a", "team": "b"}`},
			[]registry.AuditEvent{denied("auth0|reader", "agent.register", "agent", "permission_denied")}, // the body is not read
		},
		"deleting an agent by name": {
			call{method: http.MethodDelete, path: "/agents/support-triage", as: "reader"},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.decommission", "agent", "permission_denied"), "support-triage")},
		},
		"deleting an agent by id": {
			call{method: http.MethodDelete, path: "/agents/" + agentID, as: "reader"},
			[]registry.AuditEvent{withID(denied("auth0|reader", "agent.decommission", "agent", "permission_denied"), agentID)},
		},
		"a name that is none stays out of the log": {
			call{method: http.MethodDelete, path: "/agents/A%00B", as: "reader"},
			[]registry.AuditEvent{denied("auth0|reader", "agent.decommission", "agent", "permission_denied")},
		},
		"patching an agent": {
			call{method: http.MethodPatch, path: "/agents/support-triage", as: "reader", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.change", "agent", "permission_denied"), "support-triage")},
		},
		"suspending an agent": {
			call{method: http.MethodPost, path: "/agents/support-triage/suspend", as: "reader", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.suspend", "agent", "permission_denied"), "support-triage")},
		},
		"resuming an agent": {
			call{method: http.MethodPost, path: "/agents/support-triage/resume", as: "reader", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.resume", "agent", "permission_denied"), "support-triage")},
		},
		"transferring an agent": {
			call{method: http.MethodPost, path: "/agents/" + agentID + "/transfer", as: "reader", body: `{"team": "mine"}`},
			[]registry.AuditEvent{withID(denied("auth0|reader", "agent.transfer", "agent", "permission_denied"), agentID)},
		},
		"rotating an agent's credentials": {
			call{method: http.MethodPost, path: "/agents/support-triage/credentials", as: "reader"},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.rotate", "agent", "permission_denied"), "support-triage")},
		},
		"rehearsing": {
			call{method: http.MethodDelete, path: "/agents/support-triage?dry_run=true", as: "reader"},
			[]registry.AuditEvent{named(denied("auth0|reader", "agent.decommission", "agent", "permission_denied"), "support-triage")},
		},
		"repairing drift": {
			call{method: http.MethodPost, path: "/drift/repair", as: "ana"},
			[]registry.AuditEvent{denied("auth0|ana", "drift.repair", "drift", "permission_denied")},
		},
		"reading drift": {call{method: http.MethodGet, path: "/drift", as: "powerless"}, nil},
		"writing an environment": {
			call{method: http.MethodPut, path: "/environments/production", as: "ana", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|ana", "environment.put", "environment", "permission_denied"), "production")},
		},
		"deleting an environment": {
			call{method: http.MethodDelete, path: "/environments/production", as: "ana"},
			[]registry.AuditEvent{named(denied("auth0|ana", "environment.delete", "environment", "permission_denied"), "production")},
		},
		"writing an agent type": {
			call{method: http.MethodPut, path: "/agent-types/support", as: "ana", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|ana", "agent_type.put", "agent_type", "permission_denied"), "support")},
		},
		"deleting an agent type": {
			call{method: http.MethodDelete, path: "/agent-types/support", as: "ana"},
			[]registry.AuditEvent{named(denied("auth0|ana", "agent_type.delete", "agent_type", "permission_denied"), "support")},
		},
		"writing a team": {
			call{method: http.MethodPut, path: "/teams/platform", as: "ana", body: `{}`},
			[]registry.AuditEvent{named(denied("auth0|ana", "team.put", "team", "permission_denied"), "platform")},
		},
		"deleting a team": {
			call{method: http.MethodDelete, path: "/teams/platform", as: "ana"},
			[]registry.AuditEvent{named(denied("auth0|ana", "team.delete", "team", "permission_denied"), "platform")},
		},
		"a refused read":        {call{method: http.MethodGet, path: "/agents", as: "powerless"}, nil},
		"a write without token": {call{method: http.MethodDelete, path: "/agents/a"}, nil},
		"a write that is wrong": {call{method: http.MethodPut, path: "/teams/platform", as: "admin", body: `{"x": 1}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, auditor := range []error{nil, errors.New("the database is away")} {
				f := newFixture(t)
				f.audits.err = auditor
				tc.header = map[string]string{echo.HeaderXRequestID: "request-1"}
				w := f.do(tc.call)
				if refused := w.Code == http.StatusForbidden; refused != (tc.want != nil || tc.as == "powerless") {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
				if diff := cmp.Diff(tc.want, f.audits.take()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				logged := len(f.logs.records(t, "a refusal could not be audited"))
				if want := len(tc.want); auditor != nil && logged != want {
					t.Errorf("%d failures to audit were logged, want %d", logged, want)
				}
			}
		})
	}
}

// bounded is an auditor that looks at the context it is given.
type bounded struct{ err, deadline bool }

func (b *bounded) RecordAudit(ctx context.Context, _ registry.AuditEvent) error {
	_, b.deadline = ctx.Deadline()
	b.err = ctx.Err() != nil
	return nil
}

func TestInvariant_C6_HangingUpDoesNotKeepARefusalOutOfTheLog(t *testing.T) {
	t.Parallel()
	auditor := &bounded{}
	f := newFixture(t, func(o *Options) { o.Auditor = auditor })
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	recorded(f, call{method: http.MethodDelete, path: "/agents/a", as: "reader"}.request(ctx))
	if auditor.err || !auditor.deadline {
		t.Errorf("the context is over: %t, has a deadline: %t; want one that goes on for a while", auditor.err, auditor.deadline)
	}
}

// anyRules is a rulebook that knows every agent type and every environment.
type anyRules struct{ rulebook.Store }

func (anyRules) AgentType(_ context.Context, name string) (registry.AgentType, error) {
	return registry.AgentType{Name: name}, nil
}

func (anyRules) Environment(_ context.Context, name string) (registry.Environment, error) {
	return registry.Environment{Name: name}, nil
}

// The team is found to be another's behind the gate, by the service.
func TestInvariant_C6_AWriteForAnothersTeamIsAuditedWithWhatItNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) {
		o.Rulebook = rulebook.NewService(anyRules{})
		o.Agents = agents.NewService(nil, nil, nil, nil, slog.New(slog.DiscardHandler), agents.Options{})
	})
	w := f.do(call{method: http.MethodPost, path: "/agents", as: "ben", body: supportAgent("support-triage"),
		header: map[string]string{echo.HeaderXRequestID: "request-1"}})
	wantProblem(t, w, http.StatusForbidden, "team_not_allowed")
	want := []registry.AuditEvent{{
		Actor: registry.Actor{Subject: "auth0|ben", RequestID: "request-1", Source: "192.0.2.1"}, Action: "agent.register", Outcome: registry.Denied,
		ObjectKind: "agent", ObjectName: "support-triage", Team: "customer-success", Detail: "team_not_allowed",
	}}
	if diff := cmp.Diff(want, f.audits.take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// An agent that tries the control plane is named in the log, and becomes nobody's
// principal.
func TestInvariant_C6_TheRowOfARefusedAgentNamesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.Authenticator = agentClient{} })
	for _, op := range contract(t) {
		if operations[op.OperationID].action == "" {
			continue
		}
		path := strings.ReplaceAll(op.Path, "{name}", "support")
		f.do(call{method: op.Method, path: path, as: "agent", body: "{}", header: map[string]string{echo.HeaderXRequestID: "request-1"}})
		events := f.audits.take()
		want := registry.Actor{Subject: "bot@clients", RequestID: "request-1", Source: "192.0.2.1"}
		if len(events) != 1 || events[0].Actor != want || events[0].Detail != "agent_client" {
			t.Errorf("%s: events %+v, want one of %+v", op.OperationID, events, want)
		}
	}
	for _, r := range f.logs.records(t, "request") {
		if r["subject"] != "" {
			t.Errorf("the request was made as %q", r["subject"])
		}
	}
}
