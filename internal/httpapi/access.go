package httpapi

import (
	"context"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/registry"
)

// GetAgentAccess handles GET /agents/{name}/access.
func (s *Server) GetAgentAccess(ctx context.Context, req api.GetAgentAccessRequestObject) (api.GetAgentAccessResponseObject, error) {
	path := deref(req.Params.Path)
	if path == "" {
		path = "/"
	}
	d, err := s.decisions.Access(ctx, req.Name, req.Params.Resource, methodOr(req.Params.Method), path)
	if err != nil {
		return nil, err
	}
	return api.GetAgentAccess200JSONResponse{
		Headers: api.GetAgentAccess200ResponseHeaders{Age: s.age()},
		Body:    decisionToAPI(d),
	}, nil
}

// ListResourceCallers handles GET /resources/{name}/access.
func (s *Server) ListResourceCallers(ctx context.Context, req api.ListResourceCallersRequestObject) (api.ListResourceCallersResponseObject, error) {
	after, limit, err := pageAsked(req.Params.Cursor, req.Params.Limit)
	if err != nil {
		return nil, err
	}
	callers, next, err := s.decisions.Callers(ctx, req.Name, methodOr(req.Params.Method), after, limit)
	if err != nil {
		return nil, err
	}
	page := api.CallerPage{Items: each(callers, callerToAPI), NextCursor: nextPage(next)}
	return api.ListResourceCallers200JSONResponse{Headers: api.ListResourceCallers200ResponseHeaders{Age: s.age()}, Body: page}, nil
}

func callerToAPI(a registry.AgentFacts) api.DecisionAgent {
	return api.DecisionAgent{ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment}
}

// methodOr is the method that was asked for; agents mostly POST to skills.
func methodOr(asked *string) string {
	if m := deref(asked); m != "" {
		return m
	}
	return "POST"
}

func decisionToAPI(d decisions.Decision) api.Decision {
	out := api.Decision{Allow: d.Allow, Allowed: d.Allow, Reasons: make([]api.Reason, len(d.Reasons)), Revision: d.Revision}
	for i, r := range d.Reasons {
		out.Reasons[i] = api.Reason{Tier: r.Tier, ID: r.ID, Code: r.Code}
	}
	if a := d.Agent; a != nil {
		out.Agent = &api.DecisionAgent{ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment}
	}
	if r := d.Resource; r != nil {
		out.Resource = &api.DecisionResource{Name: r.Name, Type: r.Type, Team: r.Team}
	}
	return out
}

// Freshness says when the registry in memory was last seen to be the newest
// state. *snapshot.Follower implements it.
type Freshness interface {
	Checked() time.Time
}

// Heads reads the newest state. *postgres.Store implements it.
type Heads interface {
	Head(ctx context.Context) (registry.Head, error)
}

// age is how many seconds ago the registry in memory was last seen to be the
// newest state (the Age field of RFC 9111): more than a few say that the
// database is away.
func (s *Server) age() *int {
	seconds := max(0, int(time.Since(s.freshness.Checked()).Seconds()))
	return &seconds
}
