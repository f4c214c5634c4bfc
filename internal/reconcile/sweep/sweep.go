package sweep

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Clients is the identity provider. *auth0.Client implements it.
type Clients interface {
	// ListClients returns all clients of this installation.
	ListClients(ctx context.Context) ([]registry.ProviderClient, error)
	// ListGrants returns what each client may ask for, by client id.
	ListGrants(ctx context.Context) (map[string]registry.ProviderGrant, error)
	// InspectClient returns one client, whoever's it is, or NotFound.
	InspectClient(ctx context.Context, clientID string) (registry.ProviderClient, error)
	// InspectTenant looks at what concerns all agents.
	InspectTenant(ctx context.Context) ([]registry.Drift, error)
	// DeleteClient removes a client; gone is success.
	DeleteClient(ctx context.Context, clientID string) error
}

// Entities is the secret store. *vault.Client implements it.
type Entities interface {
	// InspectEntity returns the agent's entity, or NotFound.
	InspectEntity(ctx context.Context, agentID string) (registry.ProviderEntity, error)
	// InspectStore looks at what concerns all agents.
	InspectStore(ctx context.Context) ([]registry.Drift, error)
}

// Store is the registry. *postgres.Store implements it.
type Store interface {
	Reader
	Writer
}

// Reader reads the registry.
type Reader interface {
	Agent(ctx context.Context, ref string, tombstones bool) (registry.Agent, error)
	Agents(ctx context.Context, f registry.AgentFilter) (page []registry.Agent, more bool, err error)
	// IsAgentClient reports whether the client is or ever was an agent's.
	IsAgentClient(ctx context.Context, clientID string) (bool, error)
	// AbandonedIntents returns those of the intents that are older than age and
	// whose client, should there be one, nobody needs: this database says so.
	AbandonedIntents(ctx context.Context, intentIDs []string, age time.Duration) (map[string]bool, error)
	// RestoreUnconfirmed reports whether the registry went back in time, and
	// nobody has said since that it was meant to (credence restore).
	RestoreUnconfirmed(ctx context.Context) (bool, error)
}

// Writer notes what was found.
type Writer interface {
	// RecordDrift notes that the drifts were seen just now.
	RecordDrift(ctx context.Context, drifts []registry.Drift) error
	// ClearDrift forgets the drifts that were not seen since then, by this
	// process's clock, and returns how many there were.
	ClearDrift(ctx context.Context, notSeenSince time.Time) (int64, error)
	RecordAudit(ctx context.Context, e registry.AuditEvent) error
}

// Repairer has steps of an agent made again. *agents.Service implements it.
type Repairer interface {
	Repair(ctx context.Context, agentID string, steps []registry.StepName, drift []registry.Drift) error
}

// Observer hears of drift. It may be nil.
type Observer interface {
	Drifted(d registry.Drift)
}

// Options of a Sweeper.
type Options struct {
	Store    Store
	Clients  Clients
	Entities Entities
	Repairer Repairer
	Observer Observer // may be nil
	Log      *slog.Logger

	// Settle is how old the attempt to make a client must be for the client to be
	// removed.
	Settle time.Duration // default 1 min
	// Yield gives a context whose calls to the providers let others go first;
	// nil: sweeps do not yield.
	Yield func(context.Context) context.Context
}

// Sweeper sweeps.
type Sweeper struct{ o Options }

// New returns a Sweeper.
func New(o Options) *Sweeper {
	o.Settle = cmp.Or(o.Settle, time.Minute)
	if o.Yield == nil {
		o.Yield = func(ctx context.Context) context.Context { return ctx }
	}
	return &Sweeper{o: o}
}

// run is one sweep.
type run struct {
	o       Options
	clients []registry.ProviderClient
	byID    map[string]*registry.ProviderClient
	grants  map[string]registry.ProviderGrant
	before  map[string]int64 // versions of the agents that needed no pass before anybody was asked
	owned   map[string]bool  // clients that are a living agent's

	compared, found, repaired, removed int
}

// Sweep compares everything once. It does nothing after the registry went back in
// time, until credence restore was run: what differs then may be what is right.
// It fails with the first provider that does, and clears nothing then: what was
// found before stands.
func (s *Sweeper) Sweep(ctx context.Context) error {
	unconfirmed, err := s.o.Store.RestoreUnconfirmed(ctx)
	if err != nil {
		return err
	}
	if unconfirmed {
		s.o.Log.ErrorContext(ctx, "the registry went back in time: nothing is swept until credence restore is run")
		return nil
	}
	ctx = s.o.Yield(ctx)
	began := time.Now()
	r := &run{o: s.o}
	for _, step := range []func(context.Context) error{r.look, r.everybodys, r.agents, r.orphans} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	cleared, err := s.o.Store.ClearDrift(ctx, began)
	if err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "swept", "clients", len(r.clients), "agents", r.compared,
		"drifts", r.found, "drifts_gone", cleared, "agents_repaired", r.repaired, "orphans_removed", r.removed)
	return nil
}

// look lists what there is. The agents' versions are read first: one that changes
// while the providers are asked is left for the next sweep.
func (r *run) look(ctx context.Context) (err error) {
	r.before, r.owned = map[string]int64{}, map[string]bool{}
	err = r.each(ctx, func(a registry.Agent) error {
		if steady(a) {
			r.before[a.ID] = a.Version
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.clients, err = r.o.Clients.ListClients(ctx); err != nil {
		return err
	}
	r.byID = make(map[string]*registry.ProviderClient, len(r.clients))
	for i := range r.clients {
		r.byID[r.clients[i].ClientID] = &r.clients[i]
	}
	r.grants, err = r.o.Clients.ListGrants(ctx)
	return err
}

// everybodys looks at what concerns all agents. That is an operator's to mend, and
// so is that we may not look: it keeps nobody from looking at the agents.
func (r *run) everybodys(ctx context.Context) error {
	for _, provider := range []struct {
		name    string
		inspect func(context.Context) ([]registry.Drift, error)
	}{{auth0, r.o.Clients.InspectTenant}, {vault, r.o.Entities.InspectStore}} {
		drifts, err := provider.inspect(ctx)
		if errors.Is(err, registry.Refused) {
			r.o.Log.WarnContext(ctx, "what concerns all agents may not be read", "provider", provider.name, "error", err)
			drifts, err = []registry.Drift{unreadable(provider.name)}, nil
		}
		if err != nil {
			return err
		}
		if err := r.report(ctx, drifts...); err != nil {
			return err
		}
	}
	return nil
}

// unreadable says that the control plane may not read how a provider is set up.
func unreadable(provider string) registry.Drift {
	return registry.Drift{
		Provider: provider, ObjectKind: "setup", ObjectID: provider,
		Expected: "readable", Found: "unreadable", Action: registry.DriftReported,
	}
}

// agents compares every living agent that needs no pass.
func (r *run) agents(ctx context.Context) error {
	return r.each(ctx, func(a registry.Agent) error {
		if a.ClientID != "" {
			r.owned[a.ClientID] = true
		}
		if !r.unchanged(a) || a.ClientID == "" {
			return nil
		}
		return r.agent(ctx, a)
	})
}

// agent compares one agent, and has repaired what can be.
func (r *run) agent(ctx context.Context, a registry.Agent) error {
	found, err := r.find(ctx, a)
	if err != nil {
		return err
	}
	r.compared++
	drifts := Compare(a, found)
	if len(drifts) == 0 {
		return nil
	}
	// It may have changed since it was read.
	again, err := r.o.Store.Agent(ctx, a.ID, true)
	if err != nil || again.Version != a.Version || !steady(again) {
		return ignoreGone(err)
	}
	if err := r.report(ctx, drifts...); err != nil {
		return err
	}
	repairs := repairing(drifts)
	if len(repairs) == 0 {
		return nil
	}
	r.repaired++
	return r.o.Repairer.Repair(ctx, a.ID, Steps(repairs), repairs)
}

// find is what the providers have of the agent.
func (r *run) find(ctx context.Context, a registry.Agent) (Found, error) {
	var f Found
	f.Client = r.byID[a.ClientID]
	if f.Client == nil {
		c, err := r.o.Clients.InspectClient(ctx, a.ClientID)
		if ignoreGone(err) != nil {
			return Found{}, err
		}
		if err == nil {
			if c.AuthMethod == "" {
				c.AuthMethod = registry.PrivateKeyJWT // as in the list: each of ours states the method of its secret
			}
			f.Client, f.Unlisted = &c, true
		}
	}
	if g, ok := r.grants[a.ClientID]; ok {
		f.Grant = &g
	}
	e, err := r.o.Entities.InspectEntity(ctx, a.ID)
	if ignoreGone(err) != nil {
		return Found{}, err
	}
	if err == nil {
		f.Entity = &e
	}
	return f, nil
}

// report notes drifts.
func (r *run) report(ctx context.Context, drifts ...registry.Drift) error {
	if len(drifts) == 0 {
		return nil
	}
	r.found += len(drifts)
	if r.o.Observer != nil {
		for _, d := range drifts {
			r.o.Observer.Drifted(d)
		}
	}
	return r.o.Store.RecordDrift(ctx, drifts)
}

func repairing(drifts []registry.Drift) []registry.Drift {
	var repairs []registry.Drift
	for _, d := range drifts {
		if d.Action == registry.DriftRepairing {
			repairs = append(repairs, d)
		}
	}
	return repairs
}

// unchanged reports whether a is as it was before the providers were asked, and
// needs no pass.
func (r *run) unchanged(a registry.Agent) bool {
	version, ok := r.before[a.ID]
	return ok && version == a.Version && steady(a)
}

// steady reports whether nobody works on the agent, or is going to.
func steady(a registry.Agent) bool {
	return a.Convergence.Converged() && a.Convergence.DueAt.IsZero()
}

func ignoreGone(err error) error {
	if errors.Is(err, registry.NotFound) {
		return nil
	}
	return err
}

// pageSize is how many agents are read at once.
const pageSize = 200

// each calls f for every living agent.
func (r *run) each(ctx context.Context, f func(registry.Agent) error) error {
	filter := registry.AgentFilter{Lifecycle: registry.Active, Limit: pageSize}
	for {
		page, more, err := r.o.Store.Agents(ctx, filter)
		if err != nil {
			return err
		}
		for _, a := range page {
			if err := f(a); err != nil {
				return err
			}
			filter.After = registry.AgentPosition{Name: a.Name, ID: a.ID}
		}
		if !more || len(page) == 0 {
			return nil
		}
	}
}
