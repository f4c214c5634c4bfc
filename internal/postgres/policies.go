package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	policyColumns = `tier, id, environment, rules, rego, previous, tests, required, ceiling, revision, version, created_at, updated_at`

	// Documents have one name; that of a policy is tier/id.
	ofPolicy        = `WHERE tier = split_part($1, '/', 1) AND id = split_part($1, '/', 2)`
	getPolicySQL    = `SELECT ` + policyColumns + ` FROM policies ` + ofPolicy
	lockedPolicySQL = getPolicySQL + ` FOR UPDATE`
	deletePolicySQL = `DELETE FROM policies ` + ofPolicy
	listPoliciesSQL = `SELECT ` + policyColumns + ` FROM policies WHERE (tier, id) > (@tier, @id) ORDER BY tier, id LIMIT @limit`
	listTierSQL     = `SELECT ` + policyColumns + ` FROM policies WHERE tier = @tier AND id > @id ORDER BY id LIMIT @limit`
	layerFactsSQL   = `SELECT ` + policyColumns + ` FROM policies`
)

// The version is one more than any that the policy ever had, dead or alive. What
// rego was before stays in force where the new one does not compile, unless there
// is to be none.
const putPolicySQL = `
	INSERT INTO policies (tier, id, environment, rules, rego, tests, required, ceiling, revision, version)
	VALUES (@tier, @id, @environment, @rules, @rego, @tests, @required, @ceiling, @revision,
	        1 + COALESCE((SELECT max(version) FROM policy_versions WHERE tier = @tier AND id = @id), 0))
	ON CONFLICT (tier, id) DO UPDATE
	SET rules = excluded.rules, rego = excluded.rego, tests = excluded.tests, required = excluded.required, ceiling = excluded.ceiling,
	    previous = CASE excluded.rego WHEN policies.rego THEN policies.previous WHEN '' THEN '' ELSE policies.rego END,
	    revision = excluded.revision, version = excluded.version, updated_at = now()
	RETURNING ` + policyColumns

// layer is a policy as it is kept.
type layer struct {
	registry.Policy
	environment string // of the agent whose it is; "": of every environment
	previous    string // the module before Rego that was another one
}

var layers = document[layer]{
	kind: registry.LayerChange, noun: "policy",
	get: getPolicySQL, lock: lockedPolicySQL, upsert: putPolicySQL, remove: deletePolicySQL,
	scan: scanLayer,
	args: func(l layer) pgx.NamedArgs {
		return pgx.NamedArgs{
			"tier": string(l.Tier), "id": l.ID, "environment": l.environment, "rules": ruleColumns(l.Rules), "rego": l.Rego, "tests": l.Tests,
			"required": l.Required, "ceiling": (*ceilingColumn)(l.Ceiling),
		}
	},
	name: func(l layer) string { return l.String() },
	tag:  func(l layer) string { return l.Tag() },
	bare: func(l layer) layer {
		l.Meta, l.environment, l.previous = registry.Meta{}, "", ""
		l.Rules = rulesOf(ruleColumns(l.Rules))
		return l
	},
	scope: func(l layer) string { return layerImageOf(l).facts().Scope() },
	image: func(l layer) any { return layerImageOf(l) },
}

func scanLayer(row pgx.CollectableRow) (layer, error) {
	var l layer
	var rules []ruleColumn
	var ceiling *ceilingColumn
	err := row.Scan(&l.Tier, &l.ID, &l.environment, &rules, &l.Rego, &l.previous, &l.Tests, &l.Required, &ceiling,
		&l.Revision, &l.Version, &l.CreatedAt, &l.UpdatedAt)
	l.Rules, l.Ceiling = rulesOf(rules), (*registry.Ceiling)(ceiling)
	return l, err
}

func scanPolicy(row pgx.CollectableRow) (registry.Policy, error) {
	l, err := scanLayer(row)
	return l.Policy, err
}

// spelled is the key in the one spelling that it is kept by: an id may come in
// capitals.
func spelled(key registry.LayerKey) registry.LayerKey {
	if key.Tier == registry.TierAgent {
		key.ID = strings.ToLower(key.ID)
	}
	return key
}

// Policy returns the policy of that name, or NotFound.
func (s *Store) Policy(ctx context.Context, key registry.LayerKey) (registry.Policy, error) {
	l, err := layers.read(ctx, s, spelled(key).String())
	return l.Policy, err
}

// Policies returns up to limit policies of the tier, or of all tiers when it is "",
// by tier and id, after the named one (the zero key: from the first), and whether
// there are more. A page with large policies ends early; it has at least one.
func (s *Store) Policies(ctx context.Context, tier registry.Tier, after registry.LayerKey, limit int) (page []registry.Policy, more bool, err error) {
	sql, args := listPoliciesSQL, pgx.NamedArgs{"tier": string(after.Tier), "id": after.ID, "limit": limit + 1} // one more tells of more
	if tier != "" {
		sql, args["tier"] = listTierSQL, string(tier)
	}
	rows, err := s.pool.Query(ctx, sql, args)
	if err == nil {
		page, more, err = readPage(rows, limit, scanPolicy)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list policies: %w", translate(err))
	}
	return page, more, nil
}
