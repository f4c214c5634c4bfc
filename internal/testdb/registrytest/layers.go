package registrytest

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// changeLayer writes or removes a layer of any tier, one of the Writer's own agents'
// among them, dead or alive.
func (w *Writer) changeLayer(ctx context.Context, draw Draw) error {
	key := registry.LayerKey{Tier: registry.Tiers[draw(len(registry.Tiers))], ID: pick(draw, "support", "sales")}
	switch key.Tier {
	case registry.TierAgentType:
		key.ID = "assistant"
	case registry.TierAgent:
		if len(w.ids) == 0 {
			return nil
		}
		key.ID = pick(draw, w.ids...)
	}
	if draw(4) == 0 {
		return w.DeleteLayer(ctx, key)
	}
	p := registry.Policy{
		LayerKey: key, Required: draw(4) == 0,
		Rules: []registry.Rule{{Code: pick(draw, "no_writes", "use_it"), Effect: registry.Deny, When: registry.Conditions{
			Methods: some(draw, "POST", "PUT"), OutsideHours: &registry.Hours{From: "09:00", To: pick(draw, "17:00", "24:00"), Timezone: "Europe/Berlin"},
		}}},
	}
	if draw(2) == 0 {
		p.Rego, p.Tests = LayerModule(key, pick(draw, "too_late", "too_early", "too_much")), "# "+Needle
	}
	if key.Tier == registry.TierTeam || key.Tier == registry.TierAgentType {
		p.Ceiling = [...]*registry.Ceiling{nil, {}, {Permissions: some(draw, "skills:invoke", "data:read")}}[draw(3)]
	}
	return w.PutLayer(ctx, p)
}

// PutLayer creates or replaces the layer, whatever is there.
func (w *Writer) PutLayer(ctx context.Context, p registry.Policy) error {
	_, _, err := w.store.PutPolicy(ctx, p, "put", free, nil, by)
	return err
}

// DeleteLayer removes the layer.
func (w *Writer) DeleteLayer(ctx context.Context, key registry.LayerKey) error {
	return w.store.DeletePolicy(ctx, key, free, nil, by)
}
