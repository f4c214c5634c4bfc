package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	insertPolicySQL = `
	INSERT INTO platform_policies (hash, version, layout, modules) VALUES (@hash, @version, @layout, @modules)
	ON CONFLICT (hash) DO UPDATE SET version = excluded.version, layout = excluded.layout`
	activatePolicySQL = `
	INSERT INTO active_platform_policy (hash, revision) VALUES ($1, $2)
	ON CONFLICT (singleton) DO UPDATE SET hash = excluded.hash, revision = excluded.revision`
	lockPolicySQL = `SELECT p.hash, p.version FROM active_platform_policy a JOIN platform_policies p USING (hash)`
)

// policyImage names the policy that is active; its modules are in its own table.
type policyImage struct {
	Hash    string `json:"hash"`
	Version int64  `json:"version"`
	Layout  int64  `json:"layout"`
}

func (i policyImage) facts() registry.PlatformPolicy {
	return registry.PlatformPolicy{Hash: i.Hash, Version: i.Version, Layout: i.Layout}
}

// ActivatePolicy stores the platform policy and makes it the active one, at the
// next revision; it reports whether that changed anything. A policy older than
// the active one is left alone unless force is set: an old binary that migrates
// again must not take the policy back (invariant B2). It then returns Conflict.
// The same modules again change nothing, unless their version is newer: that
// must be known when an older binary comes.
//
// The layers that there are it does not look at: which of their modules compile
// beside the policy is found out when a bundle is built, and what does not is not in
// force.
func (s *Store) ActivatePolicy(ctx context.Context, p registry.PlatformPolicy, force bool, by registry.Actor) (bool, error) {
	activated := false
	err := s.inTx(ctx, "activate the platform policy", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNameSQL, string(registry.PolicyChange), "active"); err != nil {
			return err
		}
		var hash string
		var version int64
		err := tx.QueryRow(ctx, lockPolicySQL).Scan(&hash, &version)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if hash == p.Hash && p.Version <= version {
			return nil
		}
		if p.Version < version && !force {
			return registry.Conflict.Errorf("policy_is_newer", "the registry's platform policy is of version %d, which is newer than this binary's %d", version, p.Version)
		}
		modules, err := json.Marshal(p.Modules)
		if err != nil {
			return err
		}
		args := pgx.NamedArgs{"hash": p.Hash, "version": p.Version, "layout": p.Layout, "modules": modules}
		if _, err := tx.Exec(ctx, insertPolicySQL, args); err != nil {
			return err
		}
		event := registry.AuditEvent{Actor: by, Action: "platform_policy.activate", Outcome: registry.Success, ObjectKind: string(registry.PolicyChange), ObjectID: p.Hash}
		if err := audit(ctx, tx, event); err != nil {
			return err
		}
		head, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, activatePolicySQL, p.Hash, head.Revision); err != nil {
			return err
		}
		activated = true
		scope := registry.AllScopes
		return recordChange(ctx, tx, head, change{
			kind: registry.PolicyChange, id: p.Hash, oldScope: &scope, newScope: &scope,
			after: policyImage{Hash: p.Hash, Version: p.Version, Layout: p.Layout},
		})
	})
	return activated, err
}

const renewEpochSQL = `
	UPDATE registry_head SET epoch = $2
	WHERE $1 = '' OR epoch = $1
	RETURNING epoch, revision`

// RenewEpoch gives the registry another epoch, which tells every follower to
// begin anew. With old set it does so only if that is the present epoch: of many
// replicas that see the same wrong one renews it. It returns the head after it.
func (s *Store) RenewEpoch(ctx context.Context, old, epoch string, by registry.Actor) (registry.Head, error) {
	var h registry.Head
	err := s.inTx(ctx, "renew the epoch", func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, renewEpochSQL, old, epoch).Scan(&h.Epoch, &h.Revision)
		if errors.Is(err, pgx.ErrNoRows) { // another replica was first
			return tx.QueryRow(ctx, headSQL).Scan(&h.Epoch, &h.Revision)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, notifySQL, channel, h.Epoch); err != nil {
			return err
		}
		event := registry.AuditEvent{Actor: by, Action: "registry.renew_epoch", Outcome: registry.Success, ObjectKind: "registry", ObjectID: h.Epoch}
		return audit(ctx, tx, event)
	})
	return h, err
}
