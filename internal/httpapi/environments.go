package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListEnvironments handles GET /environments.
func (s *Server) ListEnvironments(ctx context.Context, req api.ListEnvironmentsRequestObject) (api.ListEnvironmentsResponseObject, error) {
	after, limit, err := pageAsked(req.Params.Cursor, req.Params.Limit)
	if err != nil {
		return nil, err
	}
	items, next, err := s.rulebook.Environments(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return api.ListEnvironments200JSONResponse{Items: each(items, environmentToAPI), NextCursor: nextPage(next)}, nil
}

// GetEnvironment handles GET /environments/{name}.
func (s *Server) GetEnvironment(ctx context.Context, req api.GetEnvironmentRequestObject) (api.GetEnvironmentResponseObject, error) {
	v, err := s.rulebook.Environment(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, v.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetEnvironment304Response{Headers: api.GetEnvironment304ResponseHeaders{ETag: etag(v.Tag())}}, nil
	}
	return api.GetEnvironment200JSONResponse{Headers: api.GetEnvironment200ResponseHeaders{ETag: etag(v.Tag())}, Body: environmentToAPI(v)}, nil
}

// PutEnvironment handles PUT /environments/{name}.
func (s *Server) PutEnvironment(ctx context.Context, req api.PutEnvironmentRequestObject) (api.PutEnvironmentResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, req.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	v, err := s.schemas.Environment(req.Name, *req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, created, err := s.rulebookFor(rehearsed).PutEnvironment(ctx, authn.PrincipalFrom(ctx), v, pre)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: environmentToAPI(saved)}), nil
	}
	if !created {
		return api.PutEnvironment200JSONResponse{Headers: api.PutEnvironment200ResponseHeaders{ETag: etag(saved.Tag())}, Body: environmentToAPI(saved)}, nil
	}
	location := "/environments/" + saved.Name
	return api.PutEnvironment201JSONResponse{
		Headers: api.PutEnvironment201ResponseHeaders{ETag: etag(saved.Tag()), Location: &location},
		Body:    environmentToAPI(saved),
	}, nil
}

// DeleteEnvironment handles DELETE /environments/{name}.
func (s *Server) DeleteEnvironment(ctx context.Context, req api.DeleteEnvironmentRequestObject) (api.DeleteEnvironmentResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if err := s.rulebookFor(rehearsed).DeleteEnvironment(ctx, authn.PrincipalFrom(ctx), req.Name, pre); err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{}), nil
	}
	return api.DeleteEnvironment204Response{}, nil
}

func environmentToAPI(e registry.Environment) api.Environment {
	created, updated := times(e.Meta)
	return api.Environment{
		Name: e.Name, AllowedEndpoints: notNil(e.AllowedEndpoints), Grants: api.EnvironmentGrants(e.Grants), MaxStaleness: e.MaxStaleness,
		ReservedNames: notNil(e.ReservedNames), Revision: e.Revision, CreatedAt: created, UpdatedAt: updated,
	}
}
