package decisions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// recordKey names one record of the data: an agent by its subject, a resource by
// its name, and the two that are alone of their kind.
type recordKey struct{ kind, name string }

var errNotFound = &storage.Error{Code: storage.NotFoundErr, Message: "document does not exist"}

// read finds the document at path. Policy that names an agent or a resource
// costs the making of one record; policy that looks at all of them makes it
// their whole document.
func (t *transaction) read(ctx context.Context, path storage.Path) (any, error) {
	if t.view == nil {
		return nil, errNotFound
	}
	if len(path) == 0 {
		registry, err := t.registry(ctx)
		return map[string]any{"registry": registry}, err
	}
	if path[0] != "registry" {
		return nil, errNotFound
	}
	if len(path) == 1 {
		return t.registry(ctx)
	}
	switch kind, rest := path[1], path[2:]; kind {
	case "meta":
		return t.record(recordKey{kind: kind}, t.meta(), rest)
	case "environment":
		return t.record(recordKey{kind: kind}, t.environmentRecord(), rest)
	case "agents":
		return readSharded(ctx, t, kind, t.view.Agents(t.environment), bundles.Agent, rest)
	case "resources":
		return readSharded(ctx, t, kind, t.view.Resources(), bundles.Resource, rest)
	case "layers":
		return t.layers(ctx, rest)
	default:
		return nil, errNotFound
	}
}

func (t *transaction) meta() any {
	touched := t.view.Touched(registry.ScopePart{Scope: t.environment})
	tag := bundles.Tag{Scope: t.environment, Epoch: t.view.Head().Epoch, Revision: touched.Revision}
	return bundles.Meta(tag, t.view.Policy().Layout, touched.At)
}

func (t *transaction) environmentRecord() any {
	e, _ := t.view.Environment(t.environment)
	return bundles.Environment(t.view.Policy().Layout, e)
}

// layers finds the document at path below those of layers, which data layouts have
// from the third on: all tiers, one tier, or what is in one.
func (t *transaction) layers(ctx context.Context, path storage.Path) (any, error) {
	if t.view.Policy().Layout < firstWithLayers {
		return nil, errNotFound
	}
	if len(path) == 0 {
		document := map[string]any{}
		for _, tier := range registry.Tiers {
			if err := addDocument(document, string(tier), func() (any, error) { return t.layers(ctx, storage.Path{string(tier)}) }); err != nil {
				return nil, err
			}
		}
		return orNotFound(document)
	}
	switch tier, rest := registry.Tier(path[0]), path[1:]; tier {
	case registry.TierGlobal:
		return t.globalLayers(rest)
	case registry.TierTeam, registry.TierAgentType:
		return readSharded(ctx, t, path[0], t.view.Layers(tier), bundles.Layer, rest)
	case registry.TierAgent:
		return readSharded(ctx, t, path[0], t.view.AgentLayers(t.environment), bundles.Layer, rest)
	default:
		return nil, errNotFound
	}
}

func (t *transaction) globalLayers(path storage.Path) (any, error) {
	if len(path) > 0 {
		l, ok := t.view.Layer(registry.LayerKey{Tier: registry.TierGlobal, ID: path[0]})
		if !ok {
			return nil, errNotFound
		}
		return t.record(recordKey{kind: string(registry.TierGlobal), name: l.ID}, bundles.Layer(l), path[1:])
	}
	document := map[string]any{}
	for _, l := range t.view.GlobalLayers() {
		record, err := t.globalLayers(storage.Path{l.ID})
		if err != nil {
			return nil, err
		}
		document[l.ID] = record
	}
	return orNotFound(document)
}

// addDocument adds what read finds, unless it finds nothing. As in a bundle, what is
// empty is not there.
func addDocument(to map[string]any, name string, read func() (any, error)) error {
	document, err := read()
	switch {
	case storage.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	to[name] = document
	return nil
}

func orNotFound(document map[string]any) (any, error) {
	if len(document) == 0 {
		return nil, errNotFound
	}
	return document, nil
}

// registry is the whole document.
func (t *transaction) registry(ctx context.Context) (map[string]any, error) {
	document := map[string]any{}
	for _, kind := range []string{"meta", "environment", "agents", "resources", "layers"} {
		if err := addDocument(document, kind, func() (any, error) { return t.read(ctx, storage.Path{"registry", kind}) }); err != nil {
			return nil, err
		}
	}
	return document, nil
}

// readSharded finds a document below those of one kind: all shards, one shard,
// or a record and what is in it.
func readSharded[V any](ctx context.Context, t *transaction, kind string, m *snapshot.Map[V], record func(V) any, path storage.Path) (any, error) {
	switch len(path) {
	case 0:
		return allShards(ctx, t, kind, m, record)
	case 1:
		for i := range snapshot.Shards {
			if path[0] == shardName(i) {
				return oneShard(ctx, t, kind, m.Shard(i), record)
			}
		}
		return nil, errNotFound
	default:
		name := path[1]
		v, ok := m.Get(name)
		if !ok || path[0] != shardName(snapshot.ShardOf(name)) {
			return nil, errNotFound
		}
		return t.record(recordKey{kind: kind, name: name}, record(v), path[2:])
	}
}

// shardName is the name of shard i's document, as bundles have it.
func shardName(i int) string { return fmt.Sprintf("%02x", i) }

func allShards[V any](ctx context.Context, t *transaction, kind string, m *snapshot.Map[V], record func(V) any) (any, error) {
	document := map[string]any{}
	for i := range snapshot.Shards {
		if err := addDocument(document, shardName(i), func() (any, error) { return oneShard(ctx, t, kind, m.Shard(i), record) }); err != nil {
			return nil, err
		}
	}
	return orNotFound(document)
}

func oneShard[V any](ctx context.Context, t *transaction, kind string, s *snapshot.Shard[V], record func(V) any) (any, error) {
	if s.Len() == 0 {
		return nil, errNotFound
	}
	if err := ctx.Err(); err != nil {
		return nil, err // a whole registry takes a while
	}
	document := make(map[string]any, s.Len())
	for name, v := range s.All() {
		r, err := t.record(recordKey{kind: kind, name: name}, record(v), nil)
		if err != nil {
			return nil, err
		}
		document[name] = r
	}
	return document, nil
}

// record finds the document at path within a record.
func (t *transaction) record(key recordKey, record any, path storage.Path) (any, error) {
	document, ok := t.records[key]
	if !ok {
		var err error
		if document, err = toJSON(record); err != nil {
			return nil, fmt.Errorf("encode the %s record of %q: %w", key.kind, key.name, err)
		}
		t.records[key] = document
	}
	return find(document, path)
}

// toJSON makes of x what a reader of its JSON text gets.
func toJSON(x any) (any, error) {
	text, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	var document any
	if err := util.UnmarshalJSON(text, &document); err != nil {
		return nil, err
	}
	return document, nil
}

// find returns what is at path within document.
func find(document any, path storage.Path) (any, error) {
	for _, step := range path {
		switch node := document.(type) {
		case map[string]any:
			member, ok := node[step]
			if !ok {
				return nil, errNotFound
			}
			document = member
		case []any:
			i, ok := util.Atoi(step)
			if !ok || i < 0 || i >= len(node) {
				return nil, errNotFound
			}
			document = node[i]
		default:
			return nil, errNotFound
		}
	}
	return document, nil
}
