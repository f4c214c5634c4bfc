package bundles

import (
	"maps"
	"slices"
	"sync"

	"github.com/credenceproject/credence/internal/registry"
)

// common keeps packed what the bundles of all scopes have in common. It is safe for
// concurrent use.
type common struct {
	mu        sync.Mutex
	packer    packer
	policy    string    // hash of the packed modules
	modules   []*member // the platform's
	ofLayers  map[registry.LayerKey]packedModule
	global    listShelf
	teams     shelf[registry.LayerFacts]
	types     shelf[registry.LayerFacts]
	resources shelf[registry.ResourceFacts]
	end       *member
}

// packedModule is a layer's module and the member that it was packed into.
type packedModule struct {
	source string
	member *member
}

// takeModules appends the platform's modules.
func (c *common) takeModules(to []*member, p registry.PlatformPolicy) ([]*member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.policy != p.Hash || c.modules == nil {
		var modules []*member
		for _, path := range slices.Sorted(maps.Keys(p.Modules)) {
			m, err := c.packer.file(path, []byte(p.Modules[path]))
			if err != nil {
				return nil, err
			}
			modules = append(modules, m)
		}
		c.policy, c.modules = p.Hash, modules
	}
	return append(to, c.modules...), nil
}

// takeLayerModules appends the layers' own modules that are in force in the scope.
func (c *common) takeLayerModules(to []*member, d draft) ([]*member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range d.layers {
		last, ok := c.ofLayers[m.Key]
		if !ok || last.source != m.Source {
			file, err := c.packer.file(m.Path, []byte(m.Source))
			if err != nil {
				return nil, err
			}
			last = packedModule{m.Source, file}
			c.keepOf(d.view.CustomLayers())
			c.ofLayers[m.Key] = last
		}
		to = append(to, last.member)
	}
	return to, nil
}

// keepOf forgets the modules of layers that have none any more.
func (c *common) keepOf(custom map[registry.LayerKey]registry.LayerFacts) {
	if c.ofLayers == nil {
		c.ofLayers = map[registry.LayerKey]packedModule{}
	}
	maps.DeleteFunc(c.ofLayers, func(key registry.LayerKey, _ packedModule) bool {
		_, ok := custom[key]
		return !ok
	})
}

// takeLayers appends the layers that apply in every scope.
func (c *common) takeLayers(to []*member, d draft) ([]*member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, layout := d.view, d.layout()
	to, err := c.global.take(&c.packer, to, v.GlobalLayers(), "registry/layers/global/data.json", Layer)
	if err != nil {
		return nil, err
	}
	if to, err = c.teams.take(&c.packer, to, v.Layers(registry.TierTeam), allShards, layout, "registry/layers/team", Layer); err != nil {
		return nil, err
	}
	return c.types.take(&c.packer, to, v.Layers(registry.TierAgentType), allShards, layout, "registry/layers/agent_type", Layer)
}

// takeResources appends the resources that are in the bundle.
func (c *common) takeResources(to []*member, d draft) ([]*member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resources.take(&c.packer, to, d.view.Resources(), d.kind.resources, d.layout(), "registry/resources", Resource)
}

// ending returns the end of every archive.
func (c *common) ending() (m *member, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end, err = c.packer.end()
	}
	return c.end, err
}
