package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListTeams handles GET /teams.
func (s *Server) ListTeams(ctx context.Context, req api.ListTeamsRequestObject) (api.ListTeamsResponseObject, error) {
	after, limit, err := pageAsked(req.Params.Cursor, req.Params.Limit)
	if err != nil {
		return nil, err
	}
	items, next, err := s.rulebook.Teams(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return api.ListTeams200JSONResponse{Items: each(items, teamToAPI), NextCursor: nextPage(next)}, nil
}

// GetTeam handles GET /teams/{name}.
func (s *Server) GetTeam(ctx context.Context, req api.GetTeamRequestObject) (api.GetTeamResponseObject, error) {
	v, err := s.rulebook.Team(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, v.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetTeam304Response{Headers: api.GetTeam304ResponseHeaders{ETag: etag(v.Tag())}}, nil
	}
	return api.GetTeam200JSONResponse{Headers: api.GetTeam200ResponseHeaders{ETag: etag(v.Tag())}, Body: teamToAPI(v)}, nil
}

// PutTeam handles PUT /teams/{name}.
func (s *Server) PutTeam(ctx context.Context, req api.PutTeamRequestObject) (api.PutTeamResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, req.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	v, err := s.schemas.Team(req.Name, *req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, created, err := s.rulebookFor(rehearsed).PutTeam(ctx, authn.PrincipalFrom(ctx), v, pre)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: teamToAPI(saved)}), nil
	}
	if !created {
		return api.PutTeam200JSONResponse{Headers: api.PutTeam200ResponseHeaders{ETag: etag(saved.Tag())}, Body: teamToAPI(saved)}, nil
	}
	location := "/teams/" + saved.Name
	return api.PutTeam201JSONResponse{
		Headers: api.PutTeam201ResponseHeaders{ETag: etag(saved.Tag()), Location: &location},
		Body:    teamToAPI(saved),
	}, nil
}

// DeleteTeam handles DELETE /teams/{name}.
func (s *Server) DeleteTeam(ctx context.Context, req api.DeleteTeamRequestObject) (api.DeleteTeamResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if err := s.rulebookFor(rehearsed).DeleteTeam(ctx, authn.PrincipalFrom(ctx), req.Name, pre); err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{}), nil
	}
	return api.DeleteTeam204Response{}, nil
}

func teamToAPI(t registry.Team) api.Team {
	created, updated := times(t.Meta)
	return api.Team{Name: t.Name, MaxAgents: t.MaxAgents, Blocked: t.Blocked, Revision: t.Revision, CreatedAt: created, UpdatedAt: updated}
}
