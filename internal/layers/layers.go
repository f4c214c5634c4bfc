// Package layers tells which of the authors' own Rego modules are in force.
//
// A module that this binary does not accept, though it was accepted when it was
// written, is not: the one before it stays in force if that is accepted, and else
// none (invariant B6). So one layer's fault stops nobody else's data and modules.
package layers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Set is the modules that are in force in one scope. It does not change, and is
// safe for concurrent use.
type Set struct {
	Hash    string   // SHA-256, hex, of the modules' paths and sources
	Modules []Module // by path

	byKey map[registry.LayerKey]int
}

// Module is the Rego of one layer.
type Module struct {
	Path   string // in bundles
	Key    registry.LayerKey
	Source string
	Parsed *ast.Module // the same pointer as long as the source is the same; not to be changed
}

// Module returns the module in force of that layer.
func (s *Set) Module(key registry.LayerKey) (Module, bool) {
	i, ok := s.byKey[key]
	if !ok {
		return Module{}, false
	}
	return s.Modules[i], true
}

// Compile accepts a layer's module or says why it is not one to run. It is asked
// once for each.
type Compile func(key registry.LayerKey, source string) (*ast.Module, error)

// Cache keeps what was found out of each module for as long as a layer has it. It
// is safe for concurrent use.
type Cache struct {
	compile Compile
	log     *slog.Logger

	mu      sync.Mutex
	known   map[text]verdict
	current []scoped // the sets made last, the newest first
}

// text is a module as it was written.
type text struct {
	key    registry.LayerKey
	source string
}

// verdict is what compile said.
type verdict struct {
	parsed *ast.Module
	err    error
}

// scoped is the set of a scope at all views that have these custom layers.
type scoped struct {
	scope  string
	custom map[registry.LayerKey]registry.LayerFacts
	set    *Set
}

// kept is how many sets stay: those of many scopes, at the newest view and at
// older ones that somebody still holds.
const kept = 512

// NewCache returns a Cache that asks compile about each module and logs those that
// are refused.
func NewCache(compile Compile, log *slog.Logger) *Cache {
	return &Cache{compile: compile, log: log, known: map[text]verdict{}}
}

// InForce returns the modules in force in the scope at v. While no layer with a
// module of its own changes, it is the same Set and costs next to nothing.
func (c *Cache) InForce(v *snapshot.View, scope string) *Set {
	custom := v.CustomLayers()
	if len(custom) == 0 {
		return none
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.current {
		if s.scope == scope && same(s.custom, custom) {
			c.current = slices.Insert(slices.Delete(c.current, i, i+1), 0, s)
			return s.set
		}
	}
	set := c.set(custom, scope)
	c.forget(custom)
	// An entry holds its map, so that no other one can come to lie at its address.
	c.current = slices.Insert(c.current, 0, scoped{scope, custom, set})
	c.current = c.current[:min(len(c.current), kept)]
	return set
}

var none = newSet(nil)

func same(a, b map[registry.LayerKey]registry.LayerFacts) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// set makes the set of a scope.
func (c *Cache) set(custom map[registry.LayerKey]registry.LayerFacts, scope string) *Set {
	var modules []Module
	for _, l := range custom {
		if s := l.Scope(); s != scope && s != registry.AllScopes {
			continue
		}
		for _, source := range []string{l.Rego, l.Previous} {
			if source == "" {
				continue
			}
			if v := c.verdict(text{l.LayerKey, source}); v.err == nil {
				modules = append(modules, Module{Path: l.Module(), Key: l.LayerKey, Source: source, Parsed: v.parsed})
				break
			}
		}
	}
	return newSet(modules)
}

func newSet(modules []Module) *Set {
	slices.SortFunc(modules, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	set := &Set{Modules: modules, byKey: make(map[registry.LayerKey]int, len(modules))}
	h := sha256.New()
	for i, m := range modules {
		set.byKey[m.Key] = i
		fmt.Fprintf(h, "%s\x00%d\x00%s", m.Path, len(m.Source), m.Source) // no path holds a zero byte
	}
	set.Hash = hex.EncodeToString(h.Sum(nil))
	return set
}

// verdict asks about a module once, and tells of one that is refused.
func (c *Cache) verdict(t text) verdict {
	v, ok := c.known[t]
	if !ok {
		v.parsed, v.err = c.compile(t.key, t.source)
		c.known[t] = v
		if v.err != nil {
			c.log.WarnContext(context.Background(), "a layer's Rego is not in force", "layer", t.key.String(), "error", v.err)
		}
	}
	return v
}

// forget drops what was found out of modules that no layer has any more.
func (c *Cache) forget(custom map[registry.LayerKey]registry.LayerFacts) {
	maps.DeleteFunc(c.known, func(t text, _ verdict) bool {
		l, ok := custom[t.key]
		return !ok || l.Rego != t.source && l.Previous != t.source
	})
}
