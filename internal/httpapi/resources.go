package httpapi

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListResources handles GET /resources.
func (s *Server) ListResources(ctx context.Context, req api.ListResourcesRequestObject) (api.ListResourcesResponseObject, error) {
	filter, err := resourceFilter(req.Params)
	if err != nil {
		return nil, err
	}
	items, next, err := s.resources.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	return api.ListResources200JSONResponse{Items: each(items, resourceToAPI), NextCursor: nextPage(next)}, nil
}

// GetResource handles GET /resources/{name}.
func (s *Server) GetResource(ctx context.Context, req api.GetResourceRequestObject) (api.GetResourceResponseObject, error) {
	v, err := s.resources.Get(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, v.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetResource304Response{Headers: api.GetResource304ResponseHeaders{ETag: etag(v.Tag())}}, nil
	}
	return api.GetResource200JSONResponse{Headers: api.GetResource200ResponseHeaders{ETag: etag(v.Tag())}, Body: resourceToAPI(v)}, nil
}

// PutResource handles PUT /resources/{name}.
func (s *Server) PutResource(ctx context.Context, req api.PutResourceRequestObject) (api.PutResourceResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, req.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	v, err := s.schemas.Resource(req.Name, *req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, created, err := s.resourcesFor(rehearsed).Put(ctx, authn.PrincipalFrom(ctx), v, pre)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: resourceToAPI(saved)}), nil
	}
	if !created {
		return api.PutResource200JSONResponse{Headers: api.PutResource200ResponseHeaders{ETag: etag(saved.Tag())}, Body: resourceToAPI(saved)}, nil
	}
	location := "/resources/" + saved.Name
	return api.PutResource201JSONResponse{
		Headers: api.PutResource201ResponseHeaders{ETag: etag(saved.Tag()), Location: &location},
		Body:    resourceToAPI(saved),
	}, nil
}

// DeleteResource handles DELETE /resources/{name}.
func (s *Server) DeleteResource(ctx context.Context, req api.DeleteResourceRequestObject) (api.DeleteResourceResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if err := s.resourcesFor(rehearsed).Delete(ctx, authn.PrincipalFrom(ctx), req.Name, pre); err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{}), nil
	}
	return api.DeleteResource204Response{}, nil
}

const maxQuery = 256 // characters of q

// operationNames are those of openapi.yaml's Operation.
var operationNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)

// resourceFilter reads the query. A filter that nothing can match is a mistake of
// the caller's, and is told.
func resourceFilter(p api.ListResourcesParams) (registry.ResourceFilter, error) {
	after, limit, err := pageAsked(p.Cursor, p.Limit)
	if err != nil {
		return registry.ResourceFilter{}, err
	}
	f := registry.ResourceFilter{
		Type: registry.ResourceType(deref(p.Type)), Team: deref(p.Team), Environment: deref(p.Environment),
		Operation: deref(p.Operation), Q: deref(p.Q), After: after, Limit: limit,
	}
	for _, given := range []struct {
		name string
		ok   bool
	}{
		{"type", f.Type == "" || api.ResourceType(f.Type).Valid()},
		{"team", f.Team == "" || registry.ValidName(f.Team)},
		{"environment", f.Environment == "" || registry.ValidName(f.Environment)},
		{"operation", f.Operation == "" || operationNames.MatchString(f.Operation)},
		{"q", isText(f.Q) && utf8.RuneCountInString(f.Q) <= maxQuery},
	} {
		if !given.ok {
			return f, registry.Invalid.Errorf("invalid_parameter", "%s is not one that a resource can have", given.name)
		}
	}
	return f, nil
}

// isText reports whether the database takes s as text.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func resourceToAPI(r registry.Resource) api.Resource {
	created, updated := times(r.Meta)
	out := api.Resource{
		Name: r.Name, Type: api.ResourceType(r.Type), Team: r.Team, Description: r.Description,
		DataClassification: api.DataClassification(r.DataClassification), RequiredPermissions: notNil(r.RequiredPermissions),
		Access: accessToAPI(r.Access), Deployments: make(map[string]api.Deployment, len(r.Deployments)),
		Operations: make([]api.Operation, len(r.Operations)), Labels: labelsToAPI(r.Labels),
		Revision: r.Revision, CreatedAt: created, UpdatedAt: updated,
	}
	for environment, d := range r.Deployments {
		out.Deployments[environment] = api.Deployment(d)
	}
	for i, o := range r.Operations {
		out.Operations[i] = api.Operation{
			Name: o.Name, Method: api.OperationMethod(o.Method), Path: o.Path, Input: optionalJSON(o.Input), Output: optionalJSON(o.Output),
		}
	}
	return out
}

func accessToAPI(a registry.Access) api.ResourceAccess {
	return api.ResourceAccess{Visibility: api.ResourceAccessVisibility(a.Visibility), Teams: notNil(a.Teams), AgentTypes: notNil(a.AgentTypes)}
}

// labelsToAPI makes absent labels empty ones.
func labelsToAPI(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}
