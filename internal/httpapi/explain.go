package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/decisions"
)

// Explain handles POST /explain: of one call, or without a resource of all that the
// agent may call.
func (s *Server) Explain(ctx context.Context, req api.ExplainRequestObject) (api.ExplainResponseObject, error) {
	ask, err := questionFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	explain := s.explainCall
	if ask.Resource == "" {
		explain = s.explainAgent
	}
	body, err := explain(ctx, ask, req.Params)
	if err != nil {
		return nil, err
	}
	return api.Explain200JSONResponse{Headers: api.Explain200ResponseHeaders{Age: s.age()}, Body: body}, nil
}

func (s *Server) explainCall(ctx context.Context, ask decisions.Ask, _ api.ExplainParams) (api.Explanation, error) {
	e, err := s.decisions.Explain(ctx, ask)
	if err != nil {
		return api.Explanation{}, err
	}
	decision, at := decisionToAPI(e.Decision), e.At.UTC()
	checks, layers := each(e.Checks, checkToAPI), each(e.Layers, contributionToAPI)
	hints := append([]string{}, e.Hints...)
	return api.Explanation{Decision: &decision, At: &at, Checks: &checks, Layers: &layers, Hints: &hints}, nil
}

func (s *Server) explainAgent(ctx context.Context, ask decisions.Ask, page api.ExplainParams) (api.Explanation, error) {
	after, limit, err := pageAsked(page.Cursor, page.Limit)
	if err != nil {
		return api.Explanation{}, err
	}
	rows, next, err := s.decisions.Table(ctx, ask, after, limit)
	if err != nil {
		return api.Explanation{}, err
	}
	items := each(rows, permittedToAPI)
	return api.Explanation{Items: &items, NextCursor: nextPage(next)}, nil
}

func checkToAPI(c decisions.Check) api.ExplainedCheck {
	return api.ExplainedCheck{ID: c.ID, Code: c.Code, Holds: c.Holds, Text: c.Text}
}

// contributionToAPI lists the layer's rules as they were written, and after them what
// its own Rego said.
func contributionToAPI(c decide.Contribution) api.ExplainedLayer {
	out := api.ExplainedLayer{
		Tier: string(c.Layer.Tier), ID: c.Layer.ID, Revision: &c.Layer.Revision, Effect: api.ExplainedLayerEffectNone, Rules: []api.ExplainedRule{},
		Missing: whenTrue(c.Missing), AboveCeiling: whenTrue(c.AboveCeiling),
	}
	switch {
	case c.Denies():
		out.Effect = api.ExplainedLayerEffectDeny
	case c.Allows():
		out.Effect = api.ExplainedLayerEffectAllow
	}
	for i, r := range c.Layer.Rules {
		out.Rules = append(out.Rules, api.ExplainedRule{
			Code: r.Code, Effect: api.ExplainedRuleEffect(r.Effect), Matched: c.Matched[i], Message: optional(r.Message), When: conditionsToAPI(r.When),
		})
	}
	own := func(effect api.ExplainedRuleEffect) func(string) api.ExplainedRule {
		return func(code string) api.ExplainedRule {
			return api.ExplainedRule{Code: code, Effect: effect, Matched: true, Custom: whenTrue(true)}
		}
	}
	out.Rules = append(out.Rules, each(c.Deny, own(api.ExplainedRuleEffectDeny))...)
	out.Rules = append(out.Rules, each(c.Allow, own(api.ExplainedRuleEffectAllow))...)
	return out
}

func whenTrue(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

func permittedToAPI(p decisions.Permitted) api.ExplainedResource {
	r := p.Resource
	out := api.ExplainedResource{Resource: api.DecisionResource{Name: r.Name, Type: string(r.Type), Team: r.Team}}
	for _, m := range p.Methods {
		d := decisionToAPI(m.Decision)
		out.Methods = append(out.Methods, struct {
			Allow   bool         `json:"allow"`
			Method  string       `json:"method"`
			Reasons []api.Reason `json:"reasons"`
		}{d.Allow, m.Method, d.Reasons})
	}
	return out
}
