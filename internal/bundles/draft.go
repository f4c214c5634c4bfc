package bundles

import (
	"fmt"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// draft is a bundle that is to be made: all that it depends on.
type draft struct {
	tag    Tag
	kind   *kind
	view   *snapshot.View
	layers []layers.Module // in force in the scope
	signer Signer          // nil: not signed
}

// draft says what the bundle of that name is at v, with the errors of Maker.Tag.
func (m *Maker) draft(v *snapshot.View, name registry.ScopePart) (draft, error) {
	k := kindOf(name.Part)
	if _, ok := v.Environment(name.Scope); !ok {
		return draft{}, registry.NotFound.Errorf("not_found", "there is no environment of that name")
	}
	if k == nil {
		return draft{}, registry.NotFound.Errorf("not_found", "a bundle has no part of that name")
	}
	if err := k.possible(v.Policy()); err != nil {
		return draft{}, err
	}
	signer, err := m.o.Keys.Signer(name.Scope)
	if err != nil {
		return draft{}, err
	}
	d := draft{kind: k, view: v, signer: signer, tag: Tag{Scope: name.Scope, Part: name.Part, Epoch: v.Head().Epoch}}
	if k.discovery {
		return d, d.discoveryTag()
	}
	var modules []string
	if k.policy {
		modules = append(modules, v.Policy().Hash)
		if set := m.inForce(v, name.Scope); set != nil {
			d.layers, modules = set.Modules, append(modules, set.Hash)
		}
	}
	d.tag.Revision, d.tag.Hash = v.Touched(name).Revision, hash8(modules, d.layout(), d.keyID())
	return d, nil
}

// discoveryTag is of no revision: nobody is to be set up anew when an agent changes.
func (d *draft) discoveryTag() error {
	content, err := canonical(d.configuration())
	if err != nil {
		return fmt.Errorf("encode a configuration: %w", err)
	}
	d.tag.Hash = hash8([]string{string(content)}, 0, d.keyID())
	return nil
}

// inForce are the modules of layers that are in the bundle, nil where its data has no
// layers.
func (m *Maker) inForce(v *snapshot.View, scope string) *layers.Set {
	if m.o.Layers == nil || v.Policy().Layout < firstLayoutInParts {
		return nil
	}
	return m.o.Layers.InForce(v, scope)
}

// layout is that of the bundle's data.
func (d *draft) layout() int64 { return d.view.Policy().Layout }

func (d *draft) keyID() string {
	if d.signer == nil {
		return ""
	}
	return d.signer.KeyID()
}

func (d *draft) configuration() configuration {
	return configurationOf(d.tag.Scope, d.kind.parts, d.keyID())
}

// possible says why there can be no bundle of the kind under the policy.
func (k *kind) possible(p registry.PlatformPolicy) error {
	switch {
	case k.discovery && !k.parts:
		return nil
	case p.Hash == "":
		return registry.Unavailable.Errorf("policy_missing", "no platform policy is active; run credence migrate")
	case k.parts && p.Layout < firstLayoutInParts:
		return registry.Unavailable.Errorf("policy_unknown", "the active platform policy reads no bundle in parts; run credence migrate")
	case !k.discovery && !CanBuild(p):
		return registry.Unavailable.Errorf("policy_unknown", "the active platform policy needs a newer version of this server")
	}
	return nil
}
