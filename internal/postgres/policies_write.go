package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// How many layers there may be. Every global one is asked about each call, and every
// module of somebody's own is compiled by each policy engine: a team can neither slow
// down the others nor crowd them out.
const (
	maxGlobalLayers = 50
	maxModules      = 1000 // in all tiers
	maxTeamModules  = 20   // a team's own and those of its agents

	// A module is checked beside all others, by a child that has seconds for it: 64 KiB
	// of Rego take a tenth of one to compile.
	maxModuleBytes     = 2 << 20 // of all modules together
	maxTeamModuleBytes = 256 << 10
)

const (
	holdNameSQL      = `SELECT pg_advisory_xact_lock_shared(hashtextextended($1 || '/' || $2, 0))`
	holdAgentSQL     = `SELECT environment, team FROM agents WHERE id = $1 AND lifecycle = 'active' FOR SHARE`
	holdAgentTypeSQL = `SELECT name FROM agent_types WHERE name = $1 FOR SHARE`
	holdTeamSQL      = getTeamSQL + ` FOR SHARE`

	countLayersSQL = `
	SELECT (SELECT count(*) FROM policies WHERE tier = 'global'),
	       (SELECT count(*) FROM policies WHERE rego <> ''),
	       t.modules, (SELECT COALESCE(sum(octet_length(rego)), 0) FROM policies WHERE rego <> '' AND (tier, id) <> ($2, $3)), t.bytes
	FROM (SELECT count(*) AS modules, COALESCE(sum(octet_length(p.rego)) FILTER (WHERE (p.tier, p.id) <> ($2, $3)), 0) AS bytes
	      FROM policies p LEFT JOIN agents a ON a.id = p.agent_id
	      WHERE p.rego <> '' AND ((p.tier = 'team' AND p.id = $1) OR a.team = $1)) t`
)

// PolicyJudge says whether a policy may be written. It is asked about the one that is
// there, if exists, and about the team whose it is, as an admin has described it or
// else as NewTeam does: of the tier team the one it is named after, of the tier agent
// the one that the agent belongs to by now; in the other tiers the zero Team. Both
// stay as they are until the policy is written. A nil PolicyJudge allows all.
type PolicyJudge = func(present registry.Policy, exists bool, owner registry.Team) error

// layerWrite is one write of a policy.
type layerWrite struct {
	key   registry.LayerKey
	judge PolicyJudge
	by    registry.Actor

	environment string        // of the agent whose layer it is
	owner       registry.Team // whose layer it is; the zero Team: admins'
	adds        adds
	bytes       int // of its module
}

// adds is what is more by a write.
type adds struct{ layer, module bool }

// document is layers for this write, which makes the policy have that module.
func (w *layerWrite) document(rego string) document[layer] {
	d := layers
	w.bytes = len(rego)
	d.begin = w.begin
	d.args = func(l layer) pgx.NamedArgs {
		l.environment = w.environment
		return layers.args(l)
	}
	d.team = func(layer) string { return w.owner.Name }
	d.judge = func(present layer, exists bool) error {
		w.adds = adds{layer: !exists, module: rego != "" && present.Rego == ""}
		if w.judge == nil {
			return nil
		}
		return w.judge(present.Policy, exists, w.owner)
	}
	d.record = func(ctx context.Context, tx pgx.Tx, l layer, action string, revision int64) error {
		return keepVersion(ctx, tx, l, action, revision, w.by)
	}
	return d
}

// begin holds, until the transaction ends, whom the policy is about and who owns it.
// An agent comes before its policy here as wherever both are locked.
func (w *layerWrite) begin(ctx context.Context, tx pgx.Tx) error {
	if !w.key.Valid() {
		return noSuchPolicy()
	}
	switch w.key.Tier {
	case registry.TierAgent:
		var team string
		if err := tx.QueryRow(ctx, holdAgentSQL, w.key.ID).Scan(&w.environment, &team); err != nil {
			return orElse(err, noSuchAgent())
		}
		return w.holdOwner(ctx, tx, team)
	case registry.TierTeam:
		return w.holdOwner(ctx, tx, w.key.ID)
	case registry.TierAgentType:
		var name string
		err := tx.QueryRow(ctx, holdAgentTypeSQL, w.key.ID).Scan(&name)
		return orElse(err, registry.NotFound.Errorf("not_found", "there is no agent type %q", w.key.ID))
	default:
		return nil
	}
}

// holdOwner keeps what admins say of the team as it is, also if that is nothing.
func (w *layerWrite) holdOwner(ctx context.Context, tx pgx.Tx, team string) error {
	if _, err := tx.Exec(ctx, holdNameSQL, string(registry.TeamChange), team); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, holdTeamSQL, team) // CollectRows returns the query's error
	said, err := pgx.CollectRows(rows, teams.scan)
	if w.owner = registry.NewTeam(team); len(said) == 1 {
		w.owner = said[0]
	}
	return err
}

// checkRoom returns Conflict when the write would make too many layers. No other
// write of the registry can come before it.
func (w *layerWrite) checkRoom(ctx context.Context, tx pgx.Tx) error {
	if w.bytes == 0 && (!w.adds.layer || w.key.Tier != registry.TierGlobal) {
		return nil
	}
	var global, modules, ofTeam, bytes, bytesOfTeam int
	err := tx.QueryRow(ctx, countLayersSQL, w.owner.Name, w.key.Tier, w.key.ID).Scan(&global, &modules, &ofTeam, &bytes, &bytesOfTeam)
	if err != nil {
		return err
	}
	switch {
	case w.adds.layer && w.key.Tier == registry.TierGlobal && global >= maxGlobalLayers:
		return registry.Conflict.Errorf("too_many_layers", "there are %d global policies, which is as many as there may be; put the rules into one of them", global)
	case w.adds.module && w.owner.Name != "" && ofTeam >= maxTeamModules:
		return registry.Conflict.Errorf("too_many_layers",
			"team %q and its agents have %d policies with Rego of their own, which is as many as they may; write rules instead, or remove the Rego of another", w.owner.Name, ofTeam)
	case w.owner.Name != "" && w.bytes > 0 && bytesOfTeam+w.bytes > maxTeamModuleBytes:
		return registry.Conflict.Errorf("too_many_layers",
			"the Rego of team %q and its agents would be %d bytes, and may be %d; write rules instead, or shorten another", w.owner.Name, bytesOfTeam+w.bytes, maxTeamModuleBytes)
	case w.bytes > 0 && bytes+w.bytes > maxModuleBytes:
		return registry.Conflict.Errorf("too_many_layers",
			"the Rego of all policies would be %d bytes, and may be %d; write rules instead, or have an admin remove some", bytes+w.bytes, maxModuleBytes)
	case w.adds.module && modules >= maxModules:
		return registry.Conflict.Errorf("too_many_layers",
			"there are %d policies with Rego of their own, which is as many as there may be; write rules instead, or have an admin remove some", modules)
	}
	return nil
}

// PutPolicy creates or replaces the policy p and reports whether it created it. The
// action, put or rollback, is for its versions and the audit log. What p says already
// changes nothing and is no version.
//
// It returns NotFound when there is no such agent that lives, or no such agent type;
// whatever judge returns; PreconditionFailed; and Conflict with code too_many_layers.
func (s *Store) PutPolicy(
	ctx context.Context, p registry.Policy, action string, pre registry.Precondition, judge PolicyJudge, by registry.Actor,
) (registry.Policy, bool, error) {
	p.LayerKey = spelled(p.LayerKey)
	w := &layerWrite{key: p.LayerKey, judge: judge, by: by}
	d := w.document(p.Rego)
	d.settle = w.checkRoom
	saved, created, err := d.putAs(ctx, s, action, layer{Policy: p}, pre, by)
	return saved.Policy, created, err
}

// DeletePolicy removes the policy; its versions stay. It asks judge as PutPolicy
// does, and returns NotFound also when there is no such policy, and
// PreconditionFailed.
func (s *Store) DeletePolicy(ctx context.Context, key registry.LayerKey, pre registry.Precondition, judge PolicyJudge, by registry.Actor) error {
	key = spelled(key)
	w := &layerWrite{key: key, judge: judge, by: by}
	return w.document("").delete(ctx, s, key.String(), pre, by)
}

// orElse is err, or instead where there was no row.
func orElse(err, instead error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return instead
	}
	return err
}

func noSuchPolicy() error {
	return registry.NotFound.Errorf("not_found", "there is no policy of that tier and id")
}
