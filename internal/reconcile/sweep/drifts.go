package sweep

import (
	"context"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// DriftStore is what is on record. *postgres.Store implements it.
type DriftStore interface {
	// Drifts returns up to limit drifts with ids after the given one, by id, and
	// whether there are more.
	Drifts(ctx context.Context, after int64, limit int) (page []registry.DriftRecord, more bool, err error)
	Agent(ctx context.Context, ref string, tombstones bool) (registry.Agent, error)
	RecordAudit(ctx context.Context, e registry.AuditEvent) error
}

// Drifts shows what sweeps found, and has it repaired when somebody asks. It is
// safe for concurrent use.
type Drifts struct {
	store    DriftStore
	repairer Repairer
}

// NewDrifts returns Drifts.
func NewDrifts(store DriftStore, repairer Repairer) *Drifts {
	return &Drifts{store: store, repairer: repairer}
}

// Drifts returns up to limit drifts with ids after the given one, by id, and
// whether there are more.
func (d *Drifts) Drifts(ctx context.Context, after int64, limit int) (page []registry.DriftRecord, more bool, err error) {
	return d.store.Drifts(ctx, after, limit)
}

// Repair has an agent, by name or id, made at the providers as the registry says,
// whether or not a sweep has found that it differs; with "" every agent of which
// one has. It returns how many agents a pass is due for. What a pass cannot repair
// it leaves: a client that is gone, and an entity that somebody disabled.
//
// It returns NotFound when there is no such agent.
func (d *Drifts) Repair(ctx context.Context, by registry.Principal, agent string) (queued int, err error) {
	only := ""
	if agent != "" {
		a, err := d.store.Agent(ctx, agent, false)
		if err != nil {
			return 0, err
		}
		only = a.ID
	}
	found, err := d.byAgent(ctx, only)
	if err != nil {
		return 0, err
	}
	if only != "" {
		return d.repair(ctx, by, only, again(found[only]), found[only])
	}
	for id, drifts := range found {
		n, err := d.repair(ctx, by, id, Steps(drifts), repairing(drifts))
		if err != nil {
			return queued, err
		}
		queued += n
	}
	return queued, nil
}

// repair has the steps of an agent made again, and returns for how many agents a
// pass is due: none when there are no steps, or when the agent is gone.
func (d *Drifts) repair(ctx context.Context, by registry.Principal, agentID string, steps []registry.StepName, drifts []registry.Drift) (queued int, err error) {
	if len(steps) == 0 {
		return 0, nil
	}
	a, err := d.store.Agent(ctx, agentID, false)
	if err != nil {
		return 0, ignoreGone(err)
	}
	err = d.store.RecordAudit(ctx, registry.AuditEvent{
		Actor: by.Actor(ctx), Action: "drift.repair", Outcome: registry.Success,
		ObjectKind: "agent", ObjectID: a.ID, ObjectName: a.Name, Team: a.Team,
	})
	if err != nil {
		return 0, err
	}
	return 1, d.repairer.Repair(ctx, agentID, steps, drifts)
}

// byAgent reads the drifts on record of every agent, or only of one.
func (d *Drifts) byAgent(ctx context.Context, only string) (map[string][]registry.Drift, error) {
	found := map[string][]registry.Drift{}
	for after := int64(0); ; {
		page, more, err := d.store.Drifts(ctx, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if after = r.ID; r.AgentID != "" && (only == "" || r.AgentID == only) {
				found[r.AgentID] = append(found[r.AgentID], r.Drift)
			}
		}
		if !more {
			return found, nil
		}
	}
}

// again are the steps to make again when somebody asks for an agent: all, but for
// those that a pass would stop at.
func again(drifts []registry.Drift) []registry.StepName {
	steps := []registry.StepName{registry.StepClient, registry.StepGrant, registry.StepEntity, registry.StepAlias}
	for _, d := range drifts {
		switch {
		case d.ObjectKind == kindClient && d.Field == "" && d.Action == registry.DriftReported: // it is gone
			steps = without(steps, registry.StepClient, registry.StepGrant)
		case d.ObjectKind == kindEntity && d.Field == fieldDisabled && d.Action == registry.DriftReported:
			steps = without(steps, registry.StepEntity, registry.StepAlias)
		}
	}
	return steps
}

func without(steps []registry.StepName, some ...registry.StepName) []registry.StepName {
	return slices.DeleteFunc(steps, func(s registry.StepName) bool { return slices.Contains(some, s) })
}
