package httpapi

import (
	"slices"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/registry"
)

func policyToAPI(p registry.Policy) api.Policy {
	created, updated := times(p.Meta)
	return api.Policy{
		Tier: string(p.Tier), ID: p.ID, Rules: each(p.Rules, ruleToAPI), Rego: optional(p.Rego), Tests: optional(p.Tests), Required: p.Required,
		Ceiling: ceilingToAPI(p.Ceiling), Version: p.Version, Revision: p.Revision, CreatedAt: created, UpdatedAt: updated,
	}
}

func policyVersionToAPI(v registry.PolicyVersion) api.PolicyVersion {
	out := api.PolicyVersion{Version: v.Policy.Version, Action: v.Action, By: v.By, At: v.At.UTC(), Deleted: v.Deleted}
	if !v.Deleted {
		p := policyToAPI(v.Policy)
		out.Policy = &p
	}
	return out
}

func ruleToAPI(r registry.Rule) api.Rule {
	return api.Rule{Code: r.Code, Effect: api.RuleEffect(r.Effect), Message: optional(r.Message), When: conditionsToAPI(r.When)}
}

// conditionsToAPI is nil where no condition is listed.
func conditionsToAPI(w registry.Conditions) *api.Conditions {
	out := api.Conditions{
		Resources:          listed[api.NameString](w.Resources),
		ResourceTypes:      listed[api.ResourceType](w.ResourceTypes),
		Methods:            listed[api.ConditionsMethods](w.Methods),
		Environments:       listed[api.NameString](w.Environments),
		DataClassification: listed[api.DataClassification](w.DataClassification),
		Permissions:        listed[string](w.Permissions),
		AgentTypes:         listed[api.NameString](w.AgentTypes),
	}
	if h := w.OutsideHours; h != nil {
		out.OutsideHours = &api.Hours{From: h.From, To: h.To, Timezone: optional(h.Timezone)}
		if len(h.Days) > 0 {
			out.OutsideHours.Days = listed[api.HoursDays](h.Days)
		}
	}
	if out == (api.Conditions{}) {
		return nil
	}
	return &out
}

func ceilingToAPI(c *registry.Ceiling) *api.Ceiling {
	if c == nil {
		return nil
	}
	return &api.Ceiling{Permissions: listed[string](c.Permissions), DataClassification: listed[api.DataClassification](c.DataClassification)}
}

func verdictToAPI(v policies.Verdict) api.PolicyVerdict {
	out := api.PolicyVerdict{DeniesEveryone: v.DeniesEveryone, Tests: make([]struct {
		Name   string `json:"name"`
		Passed bool   `json:"passed"`
	}, len(v.Tests))}
	for i, t := range v.Tests {
		out.Tests[i].Name, out.Tests[i].Passed = t.Name, t.Passed
	}
	return out
}

// listed is a list whose absence says something else than an empty one.
func listed[W, S ~string](list []S) *[]W {
	if list == nil {
		return nil
	}
	out := make([]W, len(list))
	for i, value := range list {
		out[i] = W(value)
	}
	return &out
}

// layerPosition is what the cursor of a list of layers holds: the last of the page
// before.
type layerPosition struct {
	Tier registry.Tier `json:"t"`
	ID   string        `json:"i"`
}

// layerCursor makes an opaque cursor of the last layer of a page; none without one.
func layerCursor(last registry.LayerKey) *string {
	if last == (registry.LayerKey{}) {
		return nil
	}
	return opaque(layerPosition(last))
}

// readLayerCursor reads what layerCursor made; none is the first page.
func readLayerCursor(c *string) (registry.LayerKey, error) {
	if c == nil || *c == "" {
		return registry.LayerKey{}, nil
	}
	var last layerPosition
	if !readOpaque(*c, &last) || !registry.LayerKey(last).Valid() {
		return registry.LayerKey{}, invalidCursor()
	}
	return registry.LayerKey(last), nil
}

// tierFilter reads the tier whose policies are listed; "" is all.
func tierFilter(tier *string) (registry.Tier, error) {
	t := registry.Tier(deref(tier))
	if t != "" && !slices.Contains(registry.Tiers, t) {
		return "", registry.Invalid.Errorf(codeParameter, "tier can be one of %q", registry.Tiers)
	}
	return t, nil
}
