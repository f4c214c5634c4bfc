package agents_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// everywhere is what there is of an agent beyond its row.
type everywhere struct {
	Clients   map[string]oauthClient
	Entity    entity // zero: there is none
	Published *registry.AgentFacts
}

// wrong says in which respect the providers and policy contradict what the agent's
// row claims, be that ready, suspended or decommissioned. It says nothing of one
// that claims none of these: who is on the way may be anywhere.
func (w *world) wrong(a registry.Agent) string {
	got := everywhere{Clients: w.tenant.of(a.ID), Entity: w.secrets.all()[a.ID], Published: a.Published}
	followed := a.Convergence.Converged() && a.Convergence.Renewal == registry.RenewNothing
	switch {
	case a.IsReady():
		return differs(wanted(a), got)
	case a.Lifecycle == registry.Decommissioned:
		return goneButFor(got, followed)
	case a.Suspended:
		return shutOut(got, followed)
	}
	return ""
}

// wanted is what there is of a ready agent.
func wanted(a registry.Agent) everywhere {
	facts := a.Facts()
	return everywhere{
		Clients: map[string]oauthClient{a.ClientID: {
			AgentID: a.ID, Team: a.Team, AgentType: a.AgentType, Authentication: a.Authentication, Keys: string(a.Keys),
			Granted: true, Scopes: a.Scopes,
		}},
		Entity:    entity{ID: a.EntityID, Team: a.Team, AgentType: a.AgentType, Subject: a.Subject()},
		Published: &facts,
	}
}

func differs(want, got everywhere) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(oauthClient{}, "IntentID", "Secret"), cmpopts.EquateEmpty())
}

// shutOut says what is open to a suspended agent.
func shutOut(got everywhere, followed bool) string {
	var open []string
	if got.Published != nil && !got.Published.Suspended {
		open = append(open, "policy")
	}
	if followed && got.Entity.ID != "" && !got.Entity.Disabled {
		open = append(open, "its entity")
	}
	for id, c := range got.Clients {
		if followed && c.Granted {
			open = append(open, "the grant of "+id)
		}
	}
	return strings.Join(open, ", ")
}

// goneButFor says what is left of a decommissioned agent. Its entity may stand,
// disabled.
func goneButFor(got everywhere, followed bool) string {
	var left []string
	if got.Published != nil {
		left = append(left, "policy")
	}
	if followed && got.Entity.ID != "" && !got.Entity.Disabled {
		left = append(left, "its entity")
	}
	if followed && len(got.Clients) > 0 {
		left = append(left, fmt.Sprint(slices.Sorted(maps.Keys(got.Clients))))
	}
	return strings.Join(left, ", ")
}

// everyAgent returns every agent there ever was, but for those that were swept
// away.
func (w *world) everyAgent() []registry.Agent {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), `SELECT id FROM agents WHERE id > $1 ORDER BY id`, w.swept)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	all := make([]registry.Agent, len(ids))
	for i, id := range ids {
		all[i] = w.agent(id)
	}
	return all
}

// left says what there is of agents anywhere; nothing is the empty string. An
// entity that is disabled is nothing: nobody can log in to it.
func (w *world) left() string {
	w.t.Helper()
	var found []string
	for _, a := range w.everyAgent() {
		if a.Lifecycle == registry.Active {
			found = append(found, "agent "+a.Name)
		}
	}
	for id := range w.tenant.all() {
		found = append(found, "client "+id)
	}
	for _, e := range w.secrets.all() {
		if !e.Disabled {
			found = append(found, "entity "+e.ID)
		}
	}
	const seenSQL = `
		SELECT count(*)
		FROM agents a CROSS JOIN LATERAL (
		    SELECT after FROM changes WHERE kind = 'agent' AND object_id = a.id::text ORDER BY revision DESC LIMIT 1) last
		WHERE a.id > $1 AND last.after IS NOT NULL`
	var seen int
	if err := w.pool.QueryRow(w.t.Context(), seenSQL, w.swept).Scan(&seen); err != nil {
		w.t.Fatal(err)
	}
	if seen > 0 {
		found = append(found, fmt.Sprintf("%d agents that policy sees", seen))
	}
	return strings.Join(found, ", ")
}

func (w *world) wantNothingLeft() {
	w.t.Helper()
	if left := w.left(); left != "" {
		w.t.Errorf("left behind: %s", left)
	}
}

// wantOneOfEach checks that exactly one client was ever made for the agent, and
// that it is ready.
func (w *world) wantOneOfEach(id string) {
	w.t.Helper()
	if a := w.agent(id); !a.IsReady() {
		w.t.Errorf("the agent is not ready: %s, %s", states(a), a.Convergence.LastError)
	}
	if n := w.tenant.madeFor(id); n != 1 {
		w.t.Errorf("%d clients were made, want 1", n)
	}
	w.wantConverged()
}
