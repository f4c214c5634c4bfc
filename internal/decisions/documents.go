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
		return readSharded(ctx, t, kind, t.view.Agents(t.environment), t.agentRecord, rest)
	case "resources":
		return readSharded(ctx, t, kind, t.view.Resources(), bundles.Resource, rest)
	default:
		return nil, errNotFound
	}
}

func (t *transaction) meta() any {
	head, policy := t.view.Head(), t.view.Policy()
	tag := bundles.Tag{Scope: t.environment, Epoch: head.Epoch, Revision: t.view.ScopeRevision(t.environment)}
	return bundles.Meta(tag, policy.Layout)
}

func (t *transaction) agentRecord(a registry.AgentFacts) any {
	return bundles.Agent(t.view.Policy().Layout, a)
}

func (t *transaction) environmentRecord() any {
	e, _ := t.view.Environment(t.environment)
	return bundles.Environment(e)
}

// registry is the whole document. As in a bundle, what is empty is not there.
func (t *transaction) registry(ctx context.Context) (map[string]any, error) {
	document := map[string]any{}
	for _, kind := range []string{"meta", "environment", "agents", "resources"} {
		part, err := t.read(ctx, storage.Path{"registry", kind})
		if storage.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		document[kind] = part
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
		shard, err := oneShard(ctx, t, kind, m.Shard(i), record)
		if storage.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		document[shardName(i)] = shard
	}
	if len(document) == 0 {
		return nil, errNotFound
	}
	return document, nil
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
