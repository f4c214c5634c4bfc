package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	versionColumns = `tier, id, version, rules, rego, tests, required, ceiling, revision, created_at, action, actor, at`

	insertVersionSQL = `
	INSERT INTO policy_versions (tier, id, version, rules, rego, tests, required, ceiling, revision, created_at, action, actor)
	VALUES (@tier, @id, @version, @rules, @rego, @tests, @required, @ceiling, @revision, @created_at, @action, @actor)`
	versionSQL  = `SELECT ` + versionColumns + ` FROM policy_versions WHERE tier = $1 AND id = $2 AND version = $3`
	versionsSQL = `
	SELECT ` + versionColumns + `
	FROM policy_versions
	WHERE tier = @tier AND id = @id AND (@before = 0 OR version < @before)
	ORDER BY version DESC
	LIMIT @limit`
)

const deletion = "delete" // the action of a version that removed the policy

// keepVersion keeps the write of l, as it was saved, or removed at the revision:
// then the version after its last is its removal.
func keepVersion(ctx context.Context, tx pgx.Tx, l layer, action string, revision int64, by registry.Actor) error {
	args := layers.args(l)
	delete(args, "environment")
	args["version"], args["revision"], args["created_at"], args["action"], args["actor"] = l.Version, revision, l.CreatedAt, action, by.Subject
	if action == deletion {
		args["version"] = l.Version + 1
	}
	if _, err := tx.Exec(ctx, insertVersionSQL, args); err != nil {
		return fmt.Errorf("keep the version: %w", err)
	}
	return nil
}

func scanVersion(row pgx.CollectableRow) (registry.PolicyVersion, error) {
	var v registry.PolicyVersion
	var rules []ruleColumn
	var ceiling *ceilingColumn
	p := &v.Policy
	err := row.Scan(&p.Tier, &p.ID, &p.Version, &rules, &p.Rego, &p.Tests, &p.Required, &ceiling, &p.Revision, &p.CreatedAt, &v.Action, &v.By, &v.At)
	p.Rules, p.Ceiling, p.UpdatedAt = rulesOf(rules), (*registry.Ceiling)(ceiling), v.At
	v.Deleted = v.Action == deletion
	return v, err
}

// PolicyVersion returns one version of the policy, which need not be there any more,
// or NotFound. One that removed the policy holds what was removed. Meta says when the
// version was written.
func (s *Store) PolicyVersion(ctx context.Context, key registry.LayerKey, version int64) (registry.PolicyVersion, error) {
	key = spelled(key)
	rows, _ := s.pool.Query(ctx, versionSQL, string(key.Tier), key.ID, version) // CollectExactlyOneRow returns the query's error
	v, err := pgx.CollectExactlyOneRow(rows, scanVersion)
	if err != nil {
		return v, fmt.Errorf("read a version of the policy: %w", translate(err))
	}
	return v, nil
}

// PolicyVersions returns up to limit versions of the policy before the numbered one,
// the newest first, and whether there are more; before is 0 for the newest of all. A
// page with large versions ends early; it has at least one, unless there never was
// such a policy.
func (s *Store) PolicyVersions(ctx context.Context, key registry.LayerKey, before int64, limit int) (page []registry.PolicyVersion, more bool, err error) {
	key = spelled(key)
	rows, err := s.pool.Query(ctx, versionsSQL, pgx.NamedArgs{
		"tier": string(key.Tier), "id": key.ID, "before": before, "limit": limit + 1, // one more tells of more
	})
	if err == nil {
		page, more, err = readPage(rows, limit, scanVersion)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list versions of the policy: %w", translate(err))
	}
	return page, more, nil
}
