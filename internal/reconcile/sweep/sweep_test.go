package sweep_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestASweepOfWhatIsAsDesiredFindsNothing(t *testing.T) {
	t.Parallel()
	agents := numbered(450) // three pages
	agents[3].Authentication = registry.PrivateKeyJWT
	w := newWorld(agents...)
	w.mustSweep(t)
	if len(w.drift) != 0 || len(w.repaired) != 0 || len(w.deleted) != 0 {
		t.Errorf("drifts = %v, repaired = %v, deleted = %v; want none", w.drifts(), w.repaired, w.deleted)
	}
	if log := w.log.String(); !strings.Contains(log, "clients=450 agents=450 drifts=0 ") {
		t.Errorf("not all were looked at: %s", log)
	}
	if !w.yielded {
		t.Error("the sweep did not let others go first at the identity provider")
	}
}

func TestDriftIsRecordedAndRepaired(t *testing.T) {
	t.Parallel()
	agents := numbered(5)
	agents[4].Authentication = registry.PrivateKeyJWT
	w := newWorld(agents...)
	w.clients["client-1"].Metadata["team"] = "finance"
	w.grants["client-1"] = registry.ProviderGrant{AllowAll: true, Scopes: agents[0].Scopes}
	w.entities[agents[1].ID] = func(e registry.ProviderEntity) registry.ProviderEntity { e.Disabled = true; return e }(entityOf(agents[1]))
	delete(w.clients, "client-3")
	delete(w.entities, agents[3].ID)
	w.hidden["client-5"] = true
	w.tenant = []registry.Drift{{Provider: "auth0", ObjectKind: "action", ObjectID: "claims", Field: "binding", Action: registry.DriftReported}}
	w.store = []registry.Drift{{Provider: "vault", ObjectKind: "role", ObjectID: "agent", Field: "user_claim", Action: registry.DriftReported}}
	old := registry.Drift{Provider: "auth0", ObjectKind: "client", ObjectID: "client-9", Field: "name"}
	w.drift[key(old)], w.unseen[key(old)] = old, true

	w.mustSweep(t)
	want := []string{
		"repairing client client-1 metadata.team",
		"repairing client client-5 list",
		"repairing entity agent_" + agents[3].ID,
		"repairing grant client-1 allow_all_scopes",
		"reported action claims binding",
		"reported client client-3",
		"reported entity agent_" + agents[1].ID + " disabled",
		"reported role agent user_claim",
	}
	if diff := cmp.Diff(want, w.drifts()); diff != "" {
		t.Errorf("drifts on record (-want +got):\n%s", diff)
	}
	repaired := map[string][]registry.StepName{
		agents[0].ID: {registry.StepClient, registry.StepGrant},
		agents[3].ID: {registry.StepEntity, registry.StepAlias},
		agents[4].ID: {registry.StepClient},
	}
	if diff := cmp.Diff(repaired, w.repaired); diff != "" {
		t.Errorf("repaired (-want +got):\n%s", diff)
	}
}

// A control plane that was never given the right to read how the providers are set
// up, such as after an upgrade, reports that and looks at the agents all the same.
func TestWhatMayNotBeReadKeepsNobodyFromLookingAtTheAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(numbered(2)...)
	w.clients["client-1"].Metadata["team"] = "finance"
	w.fail["tenant"] = registry.Refused.Errorf("identity_provider_refused", "it lacks read:actions")
	w.fail["store"] = registry.Refused.Errorf("secret_store_refused", "permission denied")
	w.mustSweep(t)
	want := []string{"repairing client client-1 metadata.team", "reported setup auth0", "reported setup vault"}
	if diff := cmp.Diff(want, w.drifts()); diff != "" {
		t.Errorf("drifts on record (-want +got):\n%s", diff)
	}
}

// An agent that is not as desired is in the hands of a pass; one that changes
// while the providers are asked may differ from what they said by rights.
func TestAgentsThatAreWorkedOnAreLeftAlone(t *testing.T) {
	t.Parallel()
	spoil := func(w *world, a registry.Agent) { w.clients[a.ClientID].Metadata["team"] = "finance" }
	for name, prepare := range map[string]func(w *world, a registry.Agent){
		"a pass is under way": func(w *world, a registry.Agent) { w.change(a.ID) },
		"a pass is due later": func(w *world, a registry.Agent) {
			a.Convergence.DueAt = time.Now().Add(time.Hour)
			w.agents[a.ID] = a
		},
		"a pass ended while the providers were asked": func(w *world, a registry.Agent) {
			w.change(a.ID)
			w.onList = func() {
				a := w.agents[a.ID]
				a.Convergence.Observed = a.Convergence.Generation
				w.agents[a.ID] = a
			}
		},
		"it was changed while the providers were asked": func(w *world, a registry.Agent) {
			w.onList = func() {
				a := w.agents[a.ID]
				a.Version++
				w.agents[a.ID] = a
			}
		},
		"it was changed while it was compared": func(w *world, _ registry.Agent) { w.onInspect = w.change },
		"it was registered meanwhile": func(w *world, a registry.Agent) {
			delete(w.agents, a.ID)
			w.onList = func() { w.agents[a.ID] = a }
		},
		"it went meanwhile": func(w *world, _ registry.Agent) { w.onInspect = func(id string) { delete(w.agents, id) } },
		"it is being decommissioned": func(w *world, a registry.Agent) {
			a.Lifecycle, a.Convergence.Generation = registry.Decommissioned, 9
			w.agents[a.ID] = a
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := agent()
			w := newWorld(a)
			spoil(w, a)
			prepare(w, a)
			w.mustSweep(t)
			if len(w.drift) != 0 || len(w.repaired) != 0 || len(w.deleted) != 0 {
				t.Errorf("drifts = %v, repaired = %v, deleted = %v; want none", w.drifts(), w.repaired, w.deleted)
			}
		})
	}
}

// A provider that cannot be asked says nothing about drift: what is known stays.
func TestASweepThatFailsForgetsNothing(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"agents", "clients", "grants", "client", "tenant", "entity", "store", "delete"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			w := newWorld(numbered(2)...)
			w.hidden["client-2"] = true
			w.orphan("orphan-1", true)
			old := registry.Drift{Provider: "auth0", ObjectKind: "client", ObjectID: "client-9", Field: "name"}
			w.drift[key(old)], w.unseen[key(old)] = old, true
			w.fail[call] = registry.Unavailable.Errorf("away", "it is away")
			if err := w.sweep(t); !errors.Is(err, registry.Unavailable) {
				t.Errorf("Sweep() = %v, want that it is away", err)
			}
			if _, known := w.drift[key(old)]; !known {
				t.Error("a drift that was not looked for was forgotten")
			}
		})
	}
}

// orphan adds a client of this installation that no agent has.
func (w *world) orphan(id string, abandoned bool) registry.ProviderClient {
	c := clientOf(agent())
	c.ClientID, c.AgentID = id, fmt.Sprintf("0198f000-0000-7000-9000-%012d", len(w.clients))
	c.IntentID = fmt.Sprintf("0198f000-0000-7000-a000-%012d", len(w.clients))
	w.clients[id] = c
	if abandoned {
		w.abandoned[c.IntentID] = true
	}
	return c
}

func TestInvariant_C4_OnlyProvenOrphansAreRemoved(t *testing.T) {
	t.Parallel()
	a := agent()
	w := newWorld(a)
	w.orphan("abandoned", true)
	w.orphan("unknown", false) // made after the backup that this database was restored from
	w.orphan("once-an-agents", true)
	w.hadClient["once-an-agents"] = true
	noIntent := w.orphan("no-intent", false)
	noIntent.IntentID, noIntent.AgentID = "", "what is this"
	w.clients["no-intent"] = noIntent
	surplus := w.orphan("surplus", true) // beside the one that the agent has
	surplus.AgentID = a.ID
	w.clients["surplus"] = surplus
	gone := w.orphan("of-a-tombstone", true) // whose deletion was lost
	w.agents[gone.AgentID] = registry.Agent{ID: gone.AgentID, Name: "gone", Lifecycle: registry.Decommissioned}
	others := numbered(400)
	for _, o := range others[1:] { // so that more than one may be removed
		w.agents[o.ID], w.clients[o.ClientID], w.entities[o.ID] = o, clientOf(o), entityOf(o)
		w.grants[o.ClientID] = registry.ProviderGrant{Scopes: o.Scopes}
	}

	w.mustSweep(t)
	if diff := cmp.Diff([]string{"abandoned", "of-a-tombstone", "surplus"}, w.deleted); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	want := []string{
		"removed client abandoned intent", "removed client of-a-tombstone intent", "removed client surplus intent",
		"reported client no-intent agent", "reported client once-an-agents intent", "reported client unknown agent",
	}
	if diff := cmp.Diff(want, w.drifts()); diff != "" {
		t.Errorf("drifts on record (-want +got):\n%s", diff)
	}
	audit := []string{ // with how many were deleted by then
		"credence:sweep client.remove abandoned intent 0", "credence:sweep client.remove abandoned success 1",
		"credence:sweep client.remove of-a-tombstone intent 1", "credence:sweep client.remove of-a-tombstone success 2",
		"credence:sweep client.remove surplus intent 2", "credence:sweep client.remove surplus success 3",
	}
	if diff := cmp.Diff(audit, w.audit); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

func TestInvariant_C4_ASweepRemovesFew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ agents, orphans, want int }{
		{0, 5, 1}, {99, 1, 1}, {290, 30, 3}, {3000, 30, 20}, {3000, 3, 3},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			t.Parallel()
			w := newWorld(numbered(tc.agents)...)
			for i := range tc.orphans {
				w.orphan(fmt.Sprintf("orphan-%02d", i), true)
			}
			w.mustSweep(t)
			if got := len(w.deleted); got != tc.want {
				t.Errorf("%d of %d orphans among %d clients were removed, want %d", got, tc.orphans, tc.agents+tc.orphans, tc.want)
			}
			if got := len(w.drift); got != tc.orphans {
				t.Errorf("%d are on record, want all %d", got, tc.orphans)
			}
		})
	}
}

// Beside live providers a database that was restored from before an agent came,
// or from before it got another client, finds only clients of which it knows
// nothing.
func TestInvariant_C4_ARestoredDatabaseRemovesNothing(t *testing.T) {
	t.Parallel()
	live := newWorld(numbered(200)...)
	restored := newWorld(numbered(50)...)
	restored.clients, restored.grants, restored.entities = live.clients, live.grants, live.entities
	moved := restored.agents[numbered(1)[0].ID] // has a client that is newer than the backup
	delete(restored.clients, moved.ClientID)
	newer := clientOf(moved)
	newer.ClientID, newer.IntentID = "client-newer", "0198f000-0000-7000-b000-000000000001"
	restored.clients["client-newer"] = newer

	restored.mustSweep(t)
	if len(restored.deleted) != 0 || len(restored.clients) != 200 {
		t.Errorf("deleted = %v", restored.deleted)
	}
	if got := slices.Collect(maps.Keys(restored.repaired)); len(got) != 0 {
		t.Errorf("repaired = %v", got)
	}
	if got := len(restored.drift); got != 152 { // 150 clients of later agents, the newer one, and the one that is gone
		t.Errorf("%d drifts are on record, want 152: %v", got, restored.drifts())
	}
}

// Invariant B1: when the registry went back in time, what differs may be right.
func TestInvariant_B1_SweepsWaitUntilARestoreIsConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(agent())
	w.clients["client-1"].Metadata["team"] = "finance"
	w.orphan("orphan", true)
	w.unconfirmed = true
	w.mustSweep(t)
	if len(w.drift) != 0 || len(w.deleted) != 0 || len(w.repaired) != 0 {
		t.Errorf("drifts = %v, deleted = %v, repaired = %v; want that nothing was looked at", w.drifts(), w.deleted, w.repaired)
	}
	if !strings.Contains(w.log.String(), "until credence restore is run") {
		t.Errorf("the log does not say what it waits for: %s", &w.log)
	}
}

// Invariant C6: that a removal failed is on record, too.
func TestInvariant_C6_ARemovalThatFailsIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.orphan("orphan", true)
	w.fail["delete"] = registry.Unavailable.Errorf("away", "it is away")
	if err := w.sweep(t); !errors.Is(err, registry.Unavailable) {
		t.Errorf("Sweep() = %v", err)
	}
	want := []string{"credence:sweep client.remove orphan intent 0", "credence:sweep client.remove orphan failure 0"}
	if diff := cmp.Diff(want, w.audit); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}
