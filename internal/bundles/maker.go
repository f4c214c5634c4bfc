package bundles

import (
	"sync"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// MakerOptions say what bundles are made with. The zero MakerOptions leave out
// layers' own modules and signatures.
type MakerOptions struct {
	Layers *layers.Cache // which of the layers' own modules are in force
	Keys   *Keys         // what bundles are signed with
	Keep   int           // how many states of each bundle are kept; default 32
}

const defaultKeep = 32

// Maker makes the bundles of all scopes from views of the registry: of each scope the
// whole, its parts (registry.Parts), Discovery and DiscoveryOfParts. What did not
// change since the bundle before is not made again, nor what another bundle has too.
// It is safe for concurrent use.
type Maker struct {
	o      MakerOptions
	common common

	mu     sync.Mutex
	scopes map[string]*scopeBuilder
}

// NewMaker returns a Maker.
func NewMaker(o MakerOptions) *Maker {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	return &Maker{o: o, scopes: map[string]*scopeBuilder{}}
}

// Tag returns the tag that the bundle of that name has at v, without making it.
//
// It returns NotFound when there is no such environment or part, and Unavailable
// when the bundle cannot be made: no policy is active (policy_missing), the active
// one is of a data layout that this binary does not know or that has no parts
// (policy_unknown), or the key to sign with cannot be used (signing_key_unusable).
func (m *Maker) Tag(v *snapshot.View, name registry.ScopePart) (Tag, error) {
	d, err := m.draft(v, name)
	return d.tag, err
}

// Bundle returns the bundle of that name at v, with errors as Tag does. It is the
// same Bundle again as long as the tag is the same.
func (m *Maker) Bundle(v *snapshot.View, name registry.ScopePart) (*Bundle, error) {
	d, err := m.draft(v, name)
	if err != nil {
		return nil, err
	}
	b := m.scope(name.Scope)
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.histories[name.Part]
	if h == nil {
		h = &history{keep: m.o.Keep}
		b.histories[name.Part] = h
	}
	if last := h.latest(); last != nil && last.Tag == d.tag {
		return last, nil
	}
	made, err := b.build(d)
	if err != nil {
		return nil, err
	}
	h.add(made)
	return made, nil
}

// Kept returns the bundle of that name and digest, if it is among the last that were
// made.
func (m *Maker) Kept(name registry.ScopePart, d Digest) (*Bundle, bool) {
	m.mu.Lock()
	b := m.scopes[name.Scope]
	m.mu.Unlock()
	if b == nil {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.histories[name.Part]; h != nil {
		return h.find(d)
	}
	return nil, false
}

// Forget drops what is kept of a scope: an environment of the same name that comes
// later has nothing to do with one that is gone.
func (m *Maker) Forget(scope string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.scopes, scope)
}

func (m *Maker) scope(name string) *scopeBuilder {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.scopes[name]
	if b == nil {
		b = &scopeBuilder{common: &m.common, histories: map[string]*history{}}
		m.scopes[name] = b
	}
	return b
}
