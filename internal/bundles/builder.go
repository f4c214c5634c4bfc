package bundles

import (
	"maps"
	"slices"
	"sync"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// scopeBuilder makes the bundles of one scope, and keeps packed what no other scope
// has. Its methods are for who holds mu.
type scopeBuilder struct {
	common *common

	mu        sync.Mutex
	packer    packer
	ofAgents  shelf[registry.LayerFacts]
	agents    shelf[registry.AgentFacts]
	histories map[string]*history // by part
}

// manifest is OPA's .manifest.
type manifest struct {
	Revision    string   `json:"revision"`
	Roots       []string `json:"roots"`
	RegoVersion int      `json:"rego_version"`
}

// build makes the bundle.
func (b *scopeBuilder) build(d draft) (*Bundle, error) {
	members, err := b.own(d)
	if err == nil && d.kind.policy {
		members, err = b.policy(d, members)
	}
	if err == nil && !d.kind.discovery {
		members, err = b.data(d, members)
	}
	if err == nil && d.signer != nil {
		members, err = b.sign(d, members)
	}
	if err != nil {
		return nil, err
	}
	end, err := b.common.ending()
	if err != nil {
		return nil, err
	}
	return newBundle(d.tag, append(members, end)), nil
}

// own packs what is in no other bundle.
func (b *scopeBuilder) own(d draft) ([]*member, error) {
	at := d.view.Touched(d.tag.Name()).At
	files := map[string]any{".manifest": manifest{Revision: d.tag.String(), Roots: d.kind.roots, RegoVersion: 1}}
	switch {
	case d.kind.discovery:
		files["data.json"] = d.configuration()
	case d.kind.policy:
		e, _ := d.view.Environment(d.tag.Scope)
		files["registry/environment/data.json"] = Environment(d.layout(), e)
		files["registry/meta/data.json"] = Meta(d.tag, d.layout(), at)
	default:
		files["registry/parts/"+d.tag.Part+"/data.json"] = PartMeta(d.tag, at)
	}
	members := make([]*member, 0, 5*snapshot.Shards)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		m, err := b.packer.document(path, files[path])
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// policy appends modules and layers.
func (b *scopeBuilder) policy(d draft, to []*member) ([]*member, error) {
	to, err := b.common.takeModules(to, d.view.Policy())
	if err != nil {
		return nil, err
	}
	if d.layout() < firstLayoutInParts {
		return to, nil
	}
	if to, err = b.common.takeLayerModules(to, d); err != nil {
		return nil, err
	}
	if to, err = b.common.takeLayers(to, d); err != nil {
		return nil, err
	}
	return b.ofAgents.take(&b.packer, to, d.view.AgentLayers(d.tag.Scope), allShards, d.layout(), "registry/layers/agent", Layer)
}

// data appends agents and resources.
func (b *scopeBuilder) data(d draft, to []*member) ([]*member, error) {
	to, err := b.agents.take(&b.packer, to, d.view.Agents(d.tag.Scope), d.kind.agents, d.layout(), "registry/agents", Agent)
	if err != nil {
		return nil, err
	}
	return b.common.takeResources(to, d)
}

// sign appends the signature of the files before it.
func (b *scopeBuilder) sign(d draft, members []*member) ([]*member, error) {
	content, err := signature(d.signer, d.tag.Name().String(), members)
	if err != nil {
		return nil, err
	}
	m, err := b.packer.file(signaturesFile, content)
	return append(members, m), err
}
