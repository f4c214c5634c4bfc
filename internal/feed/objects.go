package feed

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// change returns what the line says of the scope.
func (l anyLine) change(scope string) (registry.Change, error) {
	c := registry.Change{Head: registry.Head{Epoch: l.Epoch, Revision: l.Revision}, Kind: l.Kind, ObjectID: l.ID, At: l.At}
	if l.ID == "" || l.At.IsZero() || len(l.After) == 0 {
		return c, broken("a line of the kind %q lacks something", l.Kind)
	}
	gone := bytes.Equal(l.After, []byte("null"))
	c.OldScope = scope
	if !gone {
		c.NewScope = scope
	}
	var err error
	switch {
	case l.Kind == registry.HeartbeatChange && gone:
		c.NewScope = scope
	case l.Kind == registry.AgentChange && gone:
	case l.Kind == registry.AgentChange:
		c.Agent, err = object(l, func(i agentImage) (registry.AgentFacts, bool) { return i.facts(), i.valid(l.ID, scope) })
	case l.Kind == registry.EnvironmentChange && l.ID == scope && gone:
	case l.Kind == registry.EnvironmentChange && l.ID == scope:
		c.Environment, err = object(l, func(i environmentImage) (registry.EnvironmentFacts, bool) { return i.facts(), i.valid(l.ID) })
	case l.Kind == registry.LayerChange:
		err = l.layer(&c, scope, gone)
	case l.Kind == registry.ResourceChange:
		c.OldScope, c.NewScope = registry.AllScopes, ""
		if !gone {
			c.NewScope = registry.AllScopes
			c.Resource, err = object(l, func(i resourceImage) (registry.ResourceFacts, bool) {
				if !i.valid(l.ID) {
					return registry.ResourceFacts{}, false
				}
				return i.facts(), true
			})
		}
	case l.Kind == registry.PolicyChange && !gone:
		c.OldScope, c.NewScope = registry.AllScopes, registry.AllScopes
		c.Policy, err = object(l, func(i policyImage) (registry.PlatformPolicy, bool) { return i.facts(), i.valid() })
	default:
		return c, broken("there is a line of the kind %q for %q", l.Kind, l.ID)
	}
	return c, err
}

// layer reads a layer into c.
func (l anyLine) layer(c *registry.Change, scope string, gone bool) error {
	tier, id, _ := strings.Cut(l.ID, "/")
	key := registry.LayerKey{Tier: registry.Tier(tier), ID: id}
	if !key.Valid() {
		return broken("there is a layer %q", l.ID)
	}
	in := registry.AllScopes
	if key.Tier == registry.TierAgent {
		in = scope
	}
	c.OldScope, c.NewScope = in, ""
	if gone {
		return nil
	}
	var err error
	c.NewScope = in
	c.Layer, err = object(l, func(i layerImage) (registry.LayerFacts, bool) {
		if !i.valid(key) || i.facts().Scope() != in {
			return registry.LayerFacts{}, false
		}
		return i.facts(), true
	})
	return err
}

// object decodes what the line shows: an image with all of its fields, of which
// facts says whether it can be.
func object[Image, Facts any](l anyLine, facts func(Image) (Facts, bool)) (*Facts, error) {
	var i Image
	if err := strictly(l.After, &i); err != nil {
		return nil, err
	}
	if n := fieldsOf(l.After); n != reflect.TypeFor[Image]().NumField() {
		return nil, broken("a line of the kind %q has %d fields", l.Kind, n)
	}
	f, ok := facts(i)
	if !ok {
		return nil, broken("a line of the kind %q shows what cannot be", l.Kind)
	}
	return &f, nil
}

func (i agentImage) valid(id, scope string) bool {
	return i.ID == id && i.Environment == scope && i.Subject != "" && i.Name != "" && i.Scopes != nil
}

func (i environmentImage) valid(name string) bool {
	return i.Name == name && slices.Contains([]string{"permissions", "explicit"}, i.Grants)
}

func (i resourceImage) valid(name string) bool {
	return i.Name == name && i.RequiredPermissions != nil && i.Access != nil // whose visibility, if it is none, admits nobody else
}

func (i policyImage) valid() bool { return i.Hash != "" && len(i.Modules) > 0 }

func (i layerImage) valid(key registry.LayerKey) bool {
	return i.key() == key && !slices.ContainsFunc(i.Rules, func(r ruleImage) bool {
		return r.When == nil || (r.Effect != registry.Deny && r.Effect != registry.Allow)
	})
}
