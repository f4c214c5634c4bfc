package bundles

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// builder makes the bundles of one scope, one after another. It keeps the
// members of the last one: what did not change is not packed again. It is not
// safe for concurrent use.
type builder struct {
	scope     string
	packer    packer
	agents    [snapshot.Shards]packed[registry.AgentFacts]
	resources [snapshot.Shards]packed[registry.ResourceFacts]
	layout    int64  // of the packed shards
	policy    string // hash of the packed modules
	modules   []member
	end       member
}

// packed is a shard and the member that it was packed into.
type packed[V any] struct {
	shard *snapshot.Shard[V]
	member
}

// build makes the bundle of the scope at v. v must know the environment and a
// policy of a layout that we can build.
func (b *builder) build(v *snapshot.View) (*Bundle, error) {
	environment, _ := v.Environment(b.scope)
	policy := v.Policy()
	tag := tagOf(v, b.scope)

	members, err := b.head(tag, policy, environment)
	if err != nil {
		return nil, err
	}
	if err := b.packModules(policy); err != nil {
		return nil, err
	}
	members = append(members, b.modules...)
	b.useLayout(policy.Layout)
	agents, resources := v.Agents(b.scope), v.Resources()
	for i := range snapshot.Shards {
		if members, err = pack(&b.packer, members, &b.agents[i], agents.Shard(i), "agents", i, agentRecordIn(policy.Layout)); err != nil {
			return nil, err
		}
	}
	for i := range snapshot.Shards {
		if members, err = pack(&b.packer, members, &b.resources[i], resources.Shard(i), "resources", i, Resource); err != nil {
			return nil, err
		}
	}
	if b.end == nil {
		if b.end, err = b.packer.end(); err != nil {
			return nil, err
		}
	}
	bundle := &Bundle{Tag: tag, members: append(members, b.end)}
	for _, m := range bundle.members {
		bundle.Size += int64(len(m))
	}
	return bundle, nil
}

// tagOf is the tag of the scope's bundle at v.
func tagOf(v *snapshot.View, scope string) Tag {
	return Tag{Scope: scope, Epoch: v.Head().Epoch, Revision: v.ScopeRevision(scope), Hash: hash8(v.Policy())}
}

// manifest is OPA's .manifest.
type manifest struct {
	Revision    string   `json:"revision"`
	Roots       []string `json:"roots"`
	RegoVersion int      `json:"rego_version"`
}

// head packs what is different in every bundle.
func (b *builder) head(tag Tag, policy registry.PlatformPolicy, e registry.EnvironmentFacts) ([]member, error) {
	files := []struct {
		path    string
		content any
	}{
		{".manifest", manifest{Revision: tag.String(), Roots: []string{"mcp", "registry", "system/log"}, RegoVersion: 1}},
		{"registry/meta/data.json", Meta(tag, policy.Layout)},
		{"registry/environment/data.json", environmentRecordOf(e)},
	}
	members := make([]member, 0, len(files)+len(policy.Modules)+2*snapshot.Shards+1)
	for _, f := range files {
		content, err := json.Marshal(f.content)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.path, err)
		}
		m, err := b.packer.file(f.path, content)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func (b *builder) packModules(p registry.PlatformPolicy) error {
	if b.policy == p.Hash && b.modules != nil {
		return nil
	}
	var modules []member
	for _, path := range slices.Sorted(maps.Keys(p.Modules)) {
		m, err := b.packer.file(path, []byte(p.Modules[path]))
		if err != nil {
			return err
		}
		modules = append(modules, m)
	}
	b.policy, b.modules = p.Hash, modules
	return nil
}

// useLayout forgets the shards that were packed in another layout.
func (b *builder) useLayout(layout int64) {
	if b.layout != layout {
		b.layout = layout
		b.agents = [snapshot.Shards]packed[registry.AgentFacts]{}
		b.resources = [snapshot.Shards]packed[registry.ResourceFacts]{}
	}
}

// pack appends the member of a shard, packing it only when the shard is another
// one than last time. An empty shard is no file.
func pack[V any](p *packer, members []member, last *packed[V], s *snapshot.Shard[V], kind string, i int, record func(V) any) ([]member, error) {
	if s.Len() == 0 {
		*last = packed[V]{}
		return members, nil
	}
	if last.shard != s {
		content, err := encodeShard(s, record)
		if err != nil {
			return nil, err
		}
		m, err := p.file(fmt.Sprintf("registry/%s/%02x/data.json", kind, i), content)
		if err != nil {
			return nil, err
		}
		*last = packed[V]{shard: s, member: m}
	}
	return append(members, last.member), nil
}
