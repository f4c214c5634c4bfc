package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListAgentTypes handles GET /agent-types.
func (s *Server) ListAgentTypes(ctx context.Context, req api.ListAgentTypesRequestObject) (api.ListAgentTypesResponseObject, error) {
	after, limit, err := pageAsked(req.Params.Cursor, req.Params.Limit)
	if err != nil {
		return nil, err
	}
	items, next, err := s.rulebook.AgentTypes(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return api.ListAgentTypes200JSONResponse{Items: each(items, agentTypeToAPI), NextCursor: nextPage(next)}, nil
}

// GetAgentType handles GET /agent-types/{name}.
func (s *Server) GetAgentType(ctx context.Context, req api.GetAgentTypeRequestObject) (api.GetAgentTypeResponseObject, error) {
	v, err := s.rulebook.AgentType(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, v.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetAgentType304Response{Headers: api.GetAgentType304ResponseHeaders{ETag: etag(v.Tag())}}, nil
	}
	return api.GetAgentType200JSONResponse{Headers: api.GetAgentType200ResponseHeaders{ETag: etag(v.Tag())}, Body: agentTypeToAPI(v)}, nil
}

// PutAgentType handles PUT /agent-types/{name}.
func (s *Server) PutAgentType(ctx context.Context, req api.PutAgentTypeRequestObject) (api.PutAgentTypeResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, req.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	v, err := s.schemas.AgentType(req.Name, *req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, created, err := s.rulebookFor(rehearsed).PutAgentType(ctx, authn.PrincipalFrom(ctx), v, pre)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: agentTypeToAPI(saved)}), nil
	}
	if !created {
		return api.PutAgentType200JSONResponse{Headers: api.PutAgentType200ResponseHeaders{ETag: etag(saved.Tag())}, Body: agentTypeToAPI(saved)}, nil
	}
	location := "/agent-types/" + saved.Name
	return api.PutAgentType201JSONResponse{
		Headers: api.PutAgentType201ResponseHeaders{ETag: etag(saved.Tag()), Location: &location},
		Body:    agentTypeToAPI(saved),
	}, nil
}

// DeleteAgentType handles DELETE /agent-types/{name}.
func (s *Server) DeleteAgentType(ctx context.Context, req api.DeleteAgentTypeRequestObject) (api.DeleteAgentTypeResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if err := s.rulebookFor(rehearsed).DeleteAgentType(ctx, authn.PrincipalFrom(ctx), req.Name, pre); err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{}), nil
	}
	return api.DeleteAgentType204Response{}, nil
}

func agentTypeToAPI(t registry.AgentType) api.AgentType {
	created, updated := times(t.Meta)
	out := api.AgentType{
		Name: t.Name, Schema: optionalJSON(t.Schema), DefaultScopes: notNil(t.DefaultScopes), AllowedScopes: notNil(t.AllowedScopes),
		AllowedEnvironments: notNil(t.AllowedEnvironments), DefaultQuota: quotaToAPI(t.DefaultQuota),
		Revision: t.Revision, CreatedAt: created, UpdatedAt: updated,
	}
	if t.MaxQuota != nil {
		q := quotaToAPI(*t.MaxQuota)
		out.MaxQuota = &q
	}
	return out
}
