package httpapi

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

// CreateAgent handles POST /agents.
func (s *Server) CreateAgent(ctx context.Context, req api.CreateAgentRequestObject) (api.CreateAgentResponseObject, error) {
	key, err := idempotencyKey(req.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if rehearsed {
		key = "" // a dry run leads to nothing that could be told again
	}
	by := authn.PrincipalFrom(ctx)
	request, err := fingerprint("POST", "/agents", *req.Body)
	if err != nil {
		return nil, err
	}
	if key != "" {
		// What the key led to is told before the document is looked at: what is valid
		// may have changed since.
		replayed, err := s.agents.Replay(ctx, by, key, request)
		if !errors.Is(err, registry.NotFound) {
			return s.registered(replayed, err)
		}
	}
	sent, agentType, err := s.registration(ctx, func(w schema.World) (schema.Registration, error) { return s.schemas.Registration(*req.Body, w) })
	if err != nil {
		return nil, err
	}
	r := registrationOf(sent, agentType)
	r.Key, r.Fingerprint, r.DryRun = key, request, rehearsed
	registered, err := s.agents.Register(ctx, by, r)
	if err == nil && rehearsed {
		return s.wouldBe(registry.Agent{}, registered.Agent), nil
	}
	return s.registered(registered, err)
}

// registration has a registration validated by the schemas of its document and of
// the agent type that it names, which it returns too.
func (s *Server) registration(ctx context.Context, validate func(schema.World) (schema.Registration, error)) (schema.Registration, registry.AgentType, error) {
	var lookupErr error
	found := func(err error) bool {
		if err != nil && !errors.Is(err, registry.NotFound) {
			lookupErr = err
		}
		return err == nil
	}
	var agentType registry.AgentType
	r, err := validate(schema.World{
		TypeSchema: func(name string) (_ json.RawMessage, exists bool) {
			t, err := s.rulebook.AgentType(ctx, name)
			agentType = t
			return t.Schema, found(err)
		},
		EnvironmentExists: func(name string) bool {
			_, err := s.rulebook.Environment(ctx, name)
			return found(err)
		},
		Now: s.now(),
	})
	if lookupErr != nil {
		return schema.Registration{}, registry.AgentType{}, lookupErr
	}
	return r, agentType, err
}

// registrationOf is what the service is asked for; the schema of that state of the
// agent type has accepted it.
func registrationOf(r schema.Registration, t registry.AgentType) agents.Registration {
	return agents.Registration{
		TypeRevision: t.Revision,
		Name:         r.Name, Team: r.Team, AgentType: r.AgentType, Environment: r.Environment, Owner: r.Owner, Description: r.Description,
		Scopes: r.Scopes, Capabilities: r.Capabilities, Labels: r.Labels, Config: r.Config, Quota: r.Quota,
		ExpiresAt: r.ExpiresAt, CredentialsExpireAt: r.CredentialsExpireAt, Authentication: r.Authentication, Keys: r.Keys,
		AdoptClientID: r.AdoptClientID,
	}
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
		page.Items[i] = s.agentToAPI(a)
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
	expiresBefore, err := timeParameter("expires_before", p.ExpiresBefore)
	if err != nil {
		return registry.AgentFilter{}, err
	}
	f := registry.AgentFilter{
		Lifecycle: registry.Active, ExpiresBefore: expiresBefore, Team: deref(p.Team), AgentType: deref(p.AgentType), Environment: deref(p.Environment),
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
	a, err := s.agent(ctx, req)
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
	response := api.GetAgent200JSONResponse{Headers: api.GetAgent200ResponseHeaders{ETag: etag(a.Tag())}, Body: s.agentToAPI(a)}
	if req.Params.Wait != nil && !a.IsReady() {
		response.Headers.RetryAfter = s.lookAgain(a)
	}
	return response, nil
}

// agent finds the agent, and waits for it where that is asked for.
func (s *Server) agent(ctx context.Context, req api.GetAgentRequestObject) (registry.Agent, error) {
	if req.Params.Wait != nil {
		return s.awaitReady(ctx, req.Name, req.Params)
	}
	if req.Params.Timeout != nil {
		return registry.Agent{}, registry.Invalid.Errorf(codeParameter, "timeout goes with wait")
	}
	include := deref(req.Params.Include)
	if include != "" && include != api.GetAgentParamsIncludeDecommissioned {
		return registry.Agent{}, registry.Invalid.Errorf(codeParameter, "include may be decommissioned")
	}
	return s.agents.Get(ctx, authn.PrincipalFrom(ctx), req.Name, include != "")
}

// DeleteAgent handles DELETE /agents/{name}.
func (s *Server) DeleteAgent(ctx context.Context, req api.DeleteAgentRequestObject) (api.DeleteAgentResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	by := authn.PrincipalFrom(ctx)
	if deref(req.Params.DryRun) {
		return s.rehearseRemoval(ctx, by, req.Name, pre)
	}
	gone, err := s.agents.Decommission(ctx, by, req.Name, pre, false)
	if err != nil {
		return nil, err
	}
	if gone.Convergence.Converged() {
		return api.DeleteAgent204Response{}, nil
	}
	location := "/agents/" + gone.ID + "?include=decommissioned"
	return api.DeleteAgent202JSONResponse{
		Headers: api.DeleteAgent202ResponseHeaders{Location: &location, RetryAfter: s.lookAgain(gone)}, Body: s.agentToAPI(gone),
	}, nil
}

// rehearseRemoval answers what removing an agent would do; one that is gone already
// is removed again for nothing.
func (s *Server) rehearseRemoval(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition) (api.DeleteAgentResponseObject, error) {
	before, err := s.agents.Get(ctx, by, ref, false)
	if err != nil && !errors.Is(err, registry.NotFound) {
		return nil, err
	}
	gone, err := s.agents.Decommission(ctx, by, ref, pre, true)
	if err != nil {
		return nil, err
	}
	if before.ID == "" {
		before = gone
	}
	return s.wouldBe(before, gone), nil
}
