package httpapi

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// CreateAgent handles POST /agents.
func (s *Server) CreateAgent(ctx context.Context, req api.CreateAgentRequestObject) (api.CreateAgentResponseObject, error) {
	reg, err := s.registration(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	registered, err := s.agents.Register(ctx, authn.PrincipalFrom(ctx), reg)
	if err != nil {
		return nil, err
	}
	location, cache := "/agents/"+registered.Agent.Name, "no-store"
	return api.CreateAgent201JSONResponse{
		Headers: api.CreateAgent201ResponseHeaders{Location: &location, ETag: etag(registered.Agent.Tag()), CacheControl: &cache},
		Body:    s.registeredToAPI(registered),
	}, nil
}

// registration validates the document by the schemas of the registration and of
// the agent type that it names.
func (s *Server) registration(ctx context.Context, document []byte) (agents.Registration, error) {
	var lookupErr error
	found := func(err error) bool {
		if err != nil && !errors.Is(err, registry.NotFound) {
			lookupErr = err
		}
		return err == nil
	}
	var agentType registry.AgentType
	r, err := s.schemas.Registration(document, func(name string) (_ json.RawMessage, exists bool) {
		t, err := s.rulebook.AgentType(ctx, name)
		agentType = t
		return t.Schema, found(err)
	}, func(name string) bool {
		_, err := s.rulebook.Environment(ctx, name)
		return found(err)
	})
	if lookupErr != nil {
		return agents.Registration{}, lookupErr
	}
	return agents.Registration{
		TypeRevision: agentType.Revision,
		Name:         r.Name, Team: r.Team, AgentType: r.AgentType, Environment: r.Environment, Owner: r.Owner, Description: r.Description,
		Scopes: r.Scopes, Capabilities: r.Capabilities, Labels: r.Labels, Config: r.Config, Quota: r.Quota,
	}, err
}

// ListAgents handles GET /agents.
func (s *Server) ListAgents(ctx context.Context, req api.ListAgentsRequestObject) (api.ListAgentsResponseObject, error) {
	filter, err := agentFilter(req.Params)
	if err != nil {
		return nil, err
	}
	found, next, err := s.agents.List(ctx, authn.PrincipalFrom(ctx), filter)
	if err != nil {
		return nil, err
	}
	page := api.ListAgents200JSONResponse{Items: make([]api.Agent, len(found))}
	for i, a := range found {
		page.Items[i] = agentToAPI(a)
	}
	if next != nil {
		page.NextCursor = cursor(position{Name: next.Name, ID: next.ID})
	}
	return page, nil
}

func agentFilter(p api.ListAgentsParams) (registry.AgentFilter, error) {
	limit, err := pageLimit(p.Limit)
	if err != nil {
		return registry.AgentFilter{}, err
	}
	after, err := readCursor(p.Cursor)
	if err != nil {
		return registry.AgentFilter{}, err
	}
	f := registry.AgentFilter{
		Lifecycle: registry.Active, Team: deref(p.Team), AgentType: deref(p.AgentType), Environment: deref(p.Environment),
		Capability: deref(p.Capability), After: registry.AgentPosition(after), Limit: limit,
	}
	switch lifecycle := registry.Lifecycle(deref(p.Lifecycle)); lifecycle {
	case "", registry.Active:
	case registry.Decommissioned:
		f.Lifecycle = lifecycle
	default:
		return f, registry.Invalid.Errorf("invalid_parameter", "lifecycle must be active or decommissioned")
	}
	return f, nil
}

// GetAgent handles GET /agents/{name}.
func (s *Server) GetAgent(ctx context.Context, req api.GetAgentRequestObject) (api.GetAgentResponseObject, error) {
	include := deref(req.Params.Include)
	if include != "" && include != api.GetAgentParamsIncludeDecommissioned {
		return nil, registry.Invalid.Errorf("invalid_parameter", "include may be decommissioned")
	}
	a, err := s.agents.Get(ctx, authn.PrincipalFrom(ctx), req.Name, include != "")
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, a.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetAgent304Response{Headers: api.GetAgent304ResponseHeaders{ETag: etag(a.Tag())}}, nil
	}
	return api.GetAgent200JSONResponse{Headers: api.GetAgent200ResponseHeaders{ETag: etag(a.Tag())}, Body: agentToAPI(a)}, nil
}

// DeleteAgent handles DELETE /agents/{name}.
func (s *Server) DeleteAgent(ctx context.Context, req api.DeleteAgentRequestObject) (api.DeleteAgentResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	if err := s.agents.Decommission(ctx, authn.PrincipalFrom(ctx), req.Name, pre); err != nil {
		return nil, err
	}
	return api.DeleteAgent204Response{}, nil
}
