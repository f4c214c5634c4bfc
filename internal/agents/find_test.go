package agents_test

import (
	"context"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

func TestOnlyAdminsSeeTombstones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	w.mustDecommission(a.ID)
	ctx := w.request()
	for _, ref := range []string{a.ID, a.Name} {
		_, err := w.service.Get(ctx, ana, ref, true)
		wantError(t, err, registry.Forbidden, "permission_denied")
		_, err = w.service.Get(ctx, admin, ref, false)
		wantError(t, err, registry.NotFound, "not_found")
		got, err := w.service.Get(ctx, admin, ref, true)
		if err != nil || got.ID != a.ID || got.Lifecycle != registry.Decommissioned {
			t.Errorf("Get(%s) = %s, %v", ref, got.ID, err)
		}
	}
	tombstones := registry.AgentFilter{Lifecycle: registry.Decommissioned, Limit: 10}
	_, _, err := w.service.List(ctx, ana, tombstones)
	wantError(t, err, registry.Forbidden, "permission_denied")
	got, next, err := w.service.List(ctx, admin, tombstones)
	if err != nil || len(got) != 1 || next != nil {
		t.Errorf("List() = %d agents, next %v, %v", len(got), next, err)
	}
}

func TestListSaysWhereTheNextPageBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		r := w.triage()
		r.Name = name
		if _, err := w.service.Register(w.request(), ana, r); err != nil {
			t.Fatal(err)
		}
	}
	var pages []string
	for f := (registry.AgentFilter{Lifecycle: registry.Active, Limit: 2}); ; {
		page, next, err := w.service.List(w.request(), ana, f)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range page {
			names = append(names, a.Name)
		}
		pages = append(pages, strings.Join(names, " "))
		if next == nil {
			break
		}
		f.After = *next
	}
	wantEqual(t, "pages", []string{"a b", "c"}, pages)
}

// Whoever waits is told once the agent is ready, or how it is when the time is over.
func TestWaitingForAnAgentEndsWhenItIsReadyOrGoneOrTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(ensureAlias, failBefore(reset))
	id := w.mustBegin()
	ended, cancel := context.WithCancel(w.request())
	cancel()
	if a, err := w.service.WaitReady(w.request(), w.mustFinish(id)); err != nil || !a.IsReady() {
		t.Errorf("WaitReady() = %s, %v; want a ready agent", states(a), err)
	}
	suspendedNow := w.mustSuspend(id)
	if a, err := w.service.WaitReady(ended, id); err != nil || a.Version != suspendedNow.Version {
		t.Errorf("WaitReady() with no time = %v, %v", a.Version, err)
	}
	w.mustDecommission(id)
	_, err := w.service.WaitReady(w.request(), id)
	wantError(t, err, registry.NotFound, "not_found")
}

// mustFinish has the agent finished and returns its name.
func (w *world) mustFinish(id string) string {
	w.t.Helper()
	w.converge()
	return w.agent(id).Name
}
