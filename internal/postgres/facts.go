package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	scopeFactsSQL       = `SELECT name, '' AS part, revision, as_of FROM scopes UNION ALL SELECT name, part, revision, as_of FROM scope_parts`
	environmentFactsSQL = `SELECT name, grants, max_staleness, reserved_names FROM environments`
	// Policy sees an agent from its publication to its decommissioning, as the last
	// change of it said.
	agentFactsSQL    = `SELECT published FROM agents WHERE published IS NOT NULL AND lifecycle = 'active'`
	resourceFactsSQL = `SELECT ` + resourceColumns + ` FROM resources`
	agentClientsSQL  = `SELECT client_id FROM agent_clients`
	activePolicySQL  = `SELECT hash, revision FROM active_platform_policy`
	policySQL        = `SELECT hash, version, layout, modules FROM platform_policies WHERE hash = $1`
)

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func loadFacts(ctx context.Context, tx pgx.Tx, f *registry.Facts) error {
	if err := tx.QueryRow(ctx, headSQL).Scan(&f.Epoch, &f.Revision); err != nil {
		return err
	}
	var err error
	if f.Scopes, err = loadScopes(ctx, tx); err != nil {
		return err
	}
	if f.Environments, err = collect(ctx, tx, environmentFactsSQL, func(row pgx.CollectableRow) (e registry.EnvironmentFacts, err error) {
		return e, row.Scan(&e.Name, &e.Grants, &e.MaxStaleness, &e.ReservedNames)
	}); err != nil {
		return err
	}
	if f.Agents, err = collect(ctx, tx, agentFactsSQL, scanAgentFacts); err != nil {
		return err
	}
	if f.Resources, err = collect(ctx, tx, resourceFactsSQL, scanResourceFacts); err != nil {
		return err
	}
	if f.Layers, err = collect(ctx, tx, layerFactsSQL, scanLayerFacts); err != nil {
		return err
	}
	if f.AgentClients, err = collect(ctx, tx, agentClientsSQL, pgx.RowTo[string]); err != nil {
		return err
	}
	f.Policy, err = loadActivePolicy(ctx, tx)
	return err
}

func collect[T any](ctx context.Context, q querier, sql string, scan pgx.RowToFunc[T]) ([]T, error) {
	rows, _ := q.Query(ctx, sql) // CollectRows returns the query's error
	return pgx.CollectRows(rows, scan)
}

func loadScopes(ctx context.Context, q querier) (map[registry.ScopePart]registry.Touch, error) {
	scopes := map[registry.ScopePart]registry.Touch{}
	var part registry.ScopePart
	var touch registry.Touch
	rows, _ := q.Query(ctx, scopeFactsSQL) // ForEachRow returns the query's error
	_, err := pgx.ForEachRow(rows, []any{&part.Scope, &part.Part, &touch.Revision, &touch.At}, func() error {
		scopes[part] = touch
		return nil
	})
	return scopes, err
}

func scanAgentFacts(row pgx.CollectableRow) (registry.AgentFacts, error) {
	var image agentImage
	err := row.Scan(&image)
	return image.facts(), err
}

func scanResourceFacts(row pgx.CollectableRow) (registry.ResourceFacts, error) {
	r, err := scanResource(row)
	if err != nil {
		return registry.ResourceFacts{}, err
	}
	return resourceImageOf(r).facts(), nil
}

func scanLayerFacts(row pgx.CollectableRow) (registry.LayerFacts, error) {
	l, err := scanLayer(row)
	return layerImageOf(l).facts(), err
}

func loadActivePolicy(ctx context.Context, q querier) (registry.PlatformPolicy, error) {
	var hash string
	var revision int64
	err := q.QueryRow(ctx, activePolicySQL).Scan(&hash, &revision)
	if errors.Is(err, pgx.ErrNoRows) {
		return registry.PlatformPolicy{}, nil
	}
	if err != nil {
		return registry.PlatformPolicy{}, err
	}
	p, err := loadPolicy(ctx, q, hash)
	p.Revision = revision
	return p, err
}

func loadPolicy(ctx context.Context, q querier, hash string) (registry.PlatformPolicy, error) {
	var p registry.PlatformPolicy
	err := q.QueryRow(ctx, policySQL, hash).Scan(&p.Hash, &p.Version, &p.Layout, &p.Modules)
	return p, err
}

func scanChange(row pgx.CollectableRow) (registry.Change, error) {
	var c registry.Change
	var after []byte
	if err := row.Scan(&c.Epoch, &c.Revision, &c.Kind, &c.ObjectID, &c.OldScope, &c.NewScope, &after, &c.At); err != nil {
		return c, err
	}
	if after == nil {
		return c, nil
	}
	var err error
	switch c.Kind {
	case registry.AgentChange:
		c.Agent, err = decode(after, agentImage.facts)
	case registry.ResourceChange:
		c.Resource, err = decode(after, resourceImage.facts)
	case registry.EnvironmentChange:
		c.Environment, err = decode(after, environmentImage.facts)
	case registry.LayerChange:
		c.Layer, err = decode(after, layerImage.facts)
	case registry.PolicyChange:
		c.Policy, err = decode(after, policyImage.facts)
		if err == nil {
			c.Policy.Revision = c.Revision
		}
	}
	if err != nil {
		return c, fmt.Errorf("decode the change at revision %d: %w", c.Revision, err)
	}
	return c, nil
}

func decode[Image, Facts any](after []byte, facts func(Image) Facts) (*Facts, error) {
	var image Image
	if err := json.Unmarshal(after, &image); err != nil {
		return nil, err
	}
	f := facts(image)
	return &f, nil
}

func (i resourceImage) facts() registry.ResourceFacts {
	return registry.ResourceFacts{
		Name: i.Name, Type: i.Type, Team: i.Team, DataClassification: i.DataClassification, RequiredPermissions: i.RequiredPermissions,
		Access: registry.Access(i.Access), Environments: i.Environments, Labels: i.Labels, Revision: i.Revision,
	}
}

func (i environmentImage) facts() registry.EnvironmentFacts { return registry.EnvironmentFacts(i) }
