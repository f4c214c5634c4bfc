package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const takePolicySQL = deletePolicySQL + ` RETURNING ` + policyColumns

// takePolicy removes the policy of an agent that is being decommissioned, whose row
// is locked: nobody else writes it. The change of the registry is told of by
// recordTaken, once the head is locked. It returns nil when there is none.
func takePolicy(ctx context.Context, tx pgx.Tx, a registry.Agent, by registry.Actor) (*layer, error) {
	key := registry.LayerKey{Tier: registry.TierAgent, ID: a.ID}
	rows, _ := tx.Query(ctx, takePolicySQL, key.String()) // CollectExactlyOneRow returns the query's error
	l, err := pgx.CollectExactlyOneRow(rows, scanLayer)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	event := layers.event(by, deletion, l)
	event.Team, event.Detail = a.Team, "its agent was decommissioned"
	if event.Before, err = layers.shown(l); err != nil {
		return nil, err
	}
	return &l, audit(ctx, tx, event)
}

// recordTaken tells of the policy that takePolicy took, at a revision of its own.
func recordTaken(ctx context.Context, tx pgx.Tx, l *layer, by registry.Actor) error {
	if l == nil {
		return nil
	}
	head, err := nextRevision(ctx, tx)
	if err != nil {
		return err
	}
	scope := layers.scope(*l)
	if err := keepVersion(ctx, tx, *l, deletion, head.Revision, by); err != nil {
		return err
	}
	return recordChange(ctx, tx, head, change{kind: layers.kind, id: layers.name(*l), oldScope: &scope})
}
