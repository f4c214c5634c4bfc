package sweep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
)

// world is a registry, an identity provider and a secret store.
type world struct {
	agents    map[string]registry.Agent // by id
	hadClient map[string]bool           // that are or were an agent's
	abandoned map[string]bool
	drift     map[string]registry.Drift // as recorded
	unseen    map[string]bool           // recorded by an earlier sweep, and not seen since
	audit     []string

	clients  map[string]registry.ProviderClient
	hidden   map[string]bool // not in the list
	grants   map[string]registry.ProviderGrant
	entities map[string]registry.ProviderEntity // by agent
	tenant   []registry.Drift
	store    []registry.Drift

	unconfirmed bool
	yielded     bool
	onList      func() // while the provider lists its clients
	onInspect   func(agentID string)
	onDelete    func()
	fail        map[string]error // by call

	repaired map[string][]registry.StepName
	deleted  []string
	log      bytes.Buffer
}

func newWorld(agents ...registry.Agent) *world {
	w := &world{
		agents: map[string]registry.Agent{}, hadClient: map[string]bool{}, abandoned: map[string]bool{},
		drift: map[string]registry.Drift{}, unseen: map[string]bool{},
		clients: map[string]registry.ProviderClient{}, hidden: map[string]bool{}, grants: map[string]registry.ProviderGrant{},
		entities: map[string]registry.ProviderEntity{}, fail: map[string]error{}, repaired: map[string][]registry.StepName{},
	}
	for _, a := range agents {
		w.agents[a.ID], w.hadClient[a.ClientID] = a, true
		w.clients[a.ClientID], w.entities[a.ID] = clientOf(a), entityOf(a)
		w.grants[a.ClientID] = registry.ProviderGrant{ID: a.GrantID, Scopes: a.Scopes}
	}
	return w
}

// numbered are n agents as desired.
func numbered(n int) []registry.Agent {
	agents := make([]registry.Agent, n)
	for i := range agents {
		a := agent()
		a.ID, a.Name = fmt.Sprintf("0198f000-0000-7000-8000-%012d", i+1), fmt.Sprintf("agent-%04d", i+1)
		a.ClientID, a.EntityID, a.AliasID = fmt.Sprint("client-", i+1), fmt.Sprint("entity-", i+1), fmt.Sprint("alias-", i+1)
		agents[i] = a
	}
	return agents
}

type yielding struct{}

func (w *world) sweep(t *testing.T) error {
	t.Helper()
	return w.sweepIn(t.Context())
}

func (w *world) sweepIn(ctx context.Context) error {
	return sweep.New(sweep.Options{
		Store: w, Clients: w, Entities: w, Repairer: w, Settle: time.Minute,
		Log:   slog.New(slog.NewTextHandler(&w.log, nil)),
		Yield: func(ctx context.Context) context.Context { return context.WithValue(ctx, yielding{}, true) },
	}).Sweep(ctx)
}

func (w *world) mustSweep(t *testing.T) {
	t.Helper()
	if err := w.sweep(t); err != nil {
		t.Fatal(err)
	}
}

// drifts are what is on record, in short.
func (w *world) drifts() []string {
	var short []string
	for _, d := range w.drift {
		short = append(short, strings.TrimRight(fmt.Sprintf("%s %s %s %s", d.Action, d.ObjectKind, d.ObjectID, d.Field), " "))
	}
	slices.Sort(short)
	return short
}

func (w *world) Agent(_ context.Context, ref string, _ bool) (registry.Agent, error) {
	a, ok := w.agents[ref]
	if !ok {
		return a, registry.NotFound.Errorf("agent_not_found", "there is no such agent")
	}
	return a, w.fail["agent"]
}

func (w *world) Agents(_ context.Context, f registry.AgentFilter) (page []registry.Agent, more bool, err error) {
	var living []registry.Agent
	for _, a := range w.agents {
		if a.Lifecycle == f.Lifecycle && a.Name > f.After.Name {
			living = append(living, a)
		}
	}
	slices.SortFunc(living, func(a, b registry.Agent) int { return strings.Compare(a.Name, b.Name) })
	n := min(len(living), f.Limit)
	return living[:n], len(living) > n, w.fail["agents"]
}

func (w *world) IsAgentClient(_ context.Context, id string) (bool, error) {
	return w.hadClient[id], nil
}

func (w *world) AbandonedIntents(_ context.Context, ids []string, age time.Duration) (map[string]bool, error) {
	if age != time.Minute {
		return nil, errors.New("intents were judged before they had settled")
	}
	found := map[string]bool{}
	for _, id := range ids {
		if w.abandoned[id] {
			found[id] = true
		}
	}
	return found, nil
}

func (w *world) RestoreUnconfirmed(context.Context) (bool, error) { return w.unconfirmed, nil }

func key(d registry.Drift) string {
	return d.Provider + "/" + d.ObjectKind + "/" + d.ObjectID + "/" + d.Field
}

func (w *world) RecordDrift(_ context.Context, drifts []registry.Drift) error {
	for _, d := range drifts {
		w.drift[key(d)] = d
		delete(w.unseen, key(d))
	}
	return nil
}

func (w *world) ClearDrift(context.Context, time.Time) (int64, error) {
	n := len(w.unseen)
	for k := range w.unseen {
		delete(w.drift, k)
	}
	w.unseen = map[string]bool{}
	return int64(n), nil
}

func (w *world) RecordAudit(ctx context.Context, e registry.AuditEvent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.audit = append(w.audit, fmt.Sprint(e.Actor.Subject, " ", e.Action, " ", e.ObjectID, " ", e.Outcome, " ", len(w.deleted)))
	return nil
}

func (w *world) ListClients(ctx context.Context) ([]registry.ProviderClient, error) {
	w.yielded, _ = ctx.Value(yielding{}).(bool)
	var list []registry.ProviderClient
	for id, c := range w.clients {
		if !w.hidden[id] {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b registry.ProviderClient) int { return strings.Compare(a.ClientID, b.ClientID) })
	if w.onList != nil {
		w.onList()
	}
	return list, w.fail["clients"]
}

func (w *world) ListGrants(context.Context) (map[string]registry.ProviderGrant, error) {
	return w.grants, w.fail["grants"]
}

func (w *world) InspectClient(_ context.Context, id string) (registry.ProviderClient, error) {
	c, ok := w.clients[id]
	if !ok {
		return c, registry.NotFound.Errorf("client_gone", "gone")
	}
	if c.AuthMethod == registry.PrivateKeyJWT {
		c.AuthMethod = "" // what it states of its secret
	}
	return c, w.fail["client"]
}

func (w *world) InspectTenant(context.Context) ([]registry.Drift, error) {
	return w.tenant, w.fail["tenant"]
}

func (w *world) InspectStore(context.Context) ([]registry.Drift, error) {
	return w.store, w.fail["store"]
}

func (w *world) DeleteClient(_ context.Context, id string) error {
	if w.onDelete != nil {
		w.onDelete()
	}
	if err := w.fail["delete"]; err != nil {
		return err
	}
	w.deleted = append(w.deleted, id)
	delete(w.clients, id)
	return nil
}

func (w *world) InspectEntity(ctx context.Context, agentID string) (registry.ProviderEntity, error) {
	e, ok := w.entities[agentID]
	if w.onInspect != nil {
		w.onInspect(agentID)
	}
	if err := ctx.Err(); err != nil {
		return e, err
	}
	if !ok {
		return e, registry.NotFound.Errorf("vault_entity_gone", "gone")
	}
	return e, w.fail["entity"]
}

func (w *world) Repair(ctx context.Context, agentID string, steps []registry.StepName, drift []registry.Drift) error {
	for _, d := range drift {
		if d.Action != registry.DriftRepairing {
			return errors.New("what is only reported was handed on for repair")
		}
	}
	w.repaired[agentID] = steps
	return ctx.Err()
}

// change is a change of the agent that a pass follows.
func (w *world) change(id string) {
	a := w.agents[id]
	a.Version++
	a.Convergence.Generation++
	w.agents[id] = a
}
