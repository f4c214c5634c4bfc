package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	lockAgentSQL    = `SELECT ` + agentColumns + ` FROM agents a WHERE a.id = $1 FOR UPDATE`
	publishAgentSQL = `UPDATE agents SET revision = $2, version = version + 1, updated_at = now() WHERE id = $1`
	decommissionSQL = `
	UPDATE agents
	SET lifecycle = 'decommissioned', decommissioned_at = now(), revision = COALESCE($2, revision), version = version + 1, updated_at = now()
	WHERE id = $1`
)

// PublishAgent lets policy see the agent, at the next revision: the last step of
// a registration. It returns Conflict with code deleted_meanwhile when the agent
// is no longer living.
func (s *Store) PublishAgent(ctx context.Context, agentID string, by registry.Actor) (registry.Agent, error) {
	var published registry.Agent
	err := s.inTx(ctx, "publish agent", func(tx pgx.Tx) error {
		a, err := lockAgent(ctx, tx, agentID)
		if err != nil {
			return err
		}
		if a.Lifecycle != registry.Active {
			return registry.Conflict.Errorf("deleted_meanwhile", "the agent was deleted while it was being registered")
		}
		done := registry.Progress{Steps: []registry.StepName{registry.StepPolicy}, State: registry.StepDone}
		if err := recordProgress(ctx, tx, agentID, done); err != nil {
			return err
		}
		if err := audit(ctx, tx, agentEvent(by, "agent.register", registry.Success, a, "")); err != nil {
			return err
		}
		head, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, publishAgentSQL, agentID, head.Revision); err != nil {
			return err
		}
		if published, err = lockAgent(ctx, tx, agentID); err != nil {
			return err
		}
		return recordChange(ctx, tx, head, change{kind: registry.AgentChange, id: agentID, newScope: &a.Environment, after: imageOf(a)})
	})
	return published, err
}

// DecommissionAgent takes the agent out of the registry and out of policy's
// sight: its authority ends with this commit, whatever the providers still
// hold. The event is the intent of what is to follow at the providers. A
// decommissioned agent stays as it is: did is false then. It returns NotFound, or
// PreconditionFailed when pre does not hold.
func (s *Store) DecommissionAgent(ctx context.Context, agentID string, pre registry.Precondition, action string, by registry.Actor) (gone registry.Agent, did bool, err error) {
	err = s.inTx(ctx, "decommission agent", func(tx pgx.Tx) error {
		a, err := lockAgent(ctx, tx, agentID)
		if err != nil {
			return err
		}
		if a.Lifecycle == registry.Decommissioned {
			gone = a
			return nil
		}
		if err := pre.Check(true, a.Tag()); err != nil {
			return err
		}
		if err := audit(ctx, tx, agentEvent(by, action, registry.Intent, a, "")); err != nil {
			return err
		}
		undone := registry.Progress{Steps: []registry.StepName{registry.StepPolicy}, State: registry.StepUndone}
		if err := recordProgress(ctx, tx, agentID, undone); err != nil {
			return err
		}
		var revision *int64 // nil: policy never saw the agent, so nothing that it sees changes
		if a.Revision > 0 {
			head, err := nextRevision(ctx, tx)
			if err != nil {
				return err
			}
			revision = &head.Revision
			if err := recordChange(ctx, tx, head, change{kind: registry.AgentChange, id: agentID, oldScope: &a.Environment}); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, decommissionSQL, agentID, revision); err != nil {
			return err
		}
		did = true
		gone, err = lockAgent(ctx, tx, agentID)
		return err
	})
	return gone, did && err == nil, err
}

func lockAgent(ctx context.Context, tx pgx.Tx, id string) (registry.Agent, error) {
	rows, _ := tx.Query(ctx, lockAgentSQL, id) // CollectExactlyOneRow returns the query's error
	return pgx.CollectExactlyOneRow(rows, scanAgent)
}

// RecordTeardown notes how far taking an agent back from the providers got, with
// the audit event of its outcome.
func (s *Store) RecordTeardown(ctx context.Context, a registry.Agent, p []registry.Progress, action string, outcome registry.Outcome, detail string, by registry.Actor) error {
	return s.inTx(ctx, "record teardown", func(tx pgx.Tx) error {
		for _, progress := range p {
			if err := recordProgress(ctx, tx, a.ID, progress); err != nil {
				return err
			}
		}
		return audit(ctx, tx, agentEvent(by, action, outcome, a, detail))
	})
}
