package httpapi

import (
	"context"
	"net/http"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/registry"
)

// ListPolicies handles GET /policies.
func (s *Server) ListPolicies(ctx context.Context, req api.ListPoliciesRequestObject) (api.ListPoliciesResponseObject, error) {
	limit, err := pageLimit(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after, err := readLayerCursor(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	tier, err := tierFilter(req.Params.Tier)
	if err != nil {
		return nil, err
	}
	items, next, err := s.policies.List(ctx, tier, after, limit)
	if err != nil {
		return nil, err
	}
	return api.ListPolicies200JSONResponse{Items: each(items, policyToAPI), NextCursor: layerCursor(next)}, nil
}

// GetPolicy handles GET /policies/{tier}/{id}.
func (s *Server) GetPolicy(ctx context.Context, req api.GetPolicyRequestObject) (api.GetPolicyResponseObject, error) {
	v, err := s.policies.Get(ctx, layerKey(req.Tier, req.ID))
	if err != nil {
		return nil, err
	}
	unchanged, err := notModified(req.Params.IfNoneMatch, v.Tag())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return api.GetPolicy304Response{Headers: api.GetPolicy304ResponseHeaders{ETag: etag(v.Tag())}}, nil
	}
	return api.GetPolicy200JSONResponse{Headers: api.GetPolicy200ResponseHeaders{ETag: etag(v.Tag())}, Body: policyToAPI(v)}, nil
}

// PutPolicy handles PUT /policies/{tier}/{id}.
func (s *Server) PutPolicy(ctx context.Context, req api.PutPolicyRequestObject) (api.PutPolicyResponseObject, error) {
	w, err := policyWrite(req.Params.IfMatch, req.Params.IfNoneMatch, (*string)(req.Params.Confirm))
	if err != nil {
		return nil, err
	}
	v, err := s.schemas.Policy(layerKey(req.Tier, req.ID), *req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, created, err := s.policiesFor(rehearsed).Put(ctx, authn.PrincipalFrom(ctx), v, w)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: policyToAPI(saved)}), nil
	}
	if !created {
		return api.PutPolicy200JSONResponse{Headers: api.PutPolicy200ResponseHeaders{ETag: etag(saved.Tag())}, Body: policyToAPI(saved)}, nil
	}
	location := "/policies/" + saved.String()
	return api.PutPolicy201JSONResponse{
		Headers: api.PutPolicy201ResponseHeaders{ETag: etag(saved.Tag()), Location: &location},
		Body:    policyToAPI(saved),
	}, nil
}

// DeletePolicy handles DELETE /policies/{tier}/{id}.
func (s *Server) DeletePolicy(ctx context.Context, req api.DeletePolicyRequestObject) (api.DeletePolicyResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	if err := s.policiesFor(rehearsed).Delete(ctx, authn.PrincipalFrom(ctx), layerKey(req.Tier, req.ID), pre); err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{}), nil
	}
	return api.DeletePolicy204Response{}, nil
}

// RollbackPolicy handles POST /policies/{tier}/{id}/rollback.
func (s *Server) RollbackPolicy(ctx context.Context, req api.RollbackPolicyRequestObject) (api.RollbackPolicyResponseObject, error) {
	w, err := policyWrite(req.Params.IfMatch, req.Params.IfNoneMatch, (*string)(req.Params.Confirm))
	if err != nil {
		return nil, err
	}
	version, err := s.schemas.PolicyRollback(*req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	saved, err := s.policiesFor(rehearsed).Rollback(ctx, authn.PrincipalFrom(ctx), layerKey(req.Tier, req.ID), version, w)
	if err != nil {
		return nil, err
	}
	if rehearsed {
		return dryRun(api.DryRun{Object: policyToAPI(saved)}), nil
	}
	return api.RollbackPolicy200JSONResponse{Headers: api.RollbackPolicy200ResponseHeaders{ETag: etag(saved.Tag())}, Body: policyToAPI(saved)}, nil
}

// ListPolicyVersions handles GET /policies/{tier}/{id}/versions.
func (s *Server) ListPolicyVersions(ctx context.Context, req api.ListPolicyVersionsRequestObject) (api.ListPolicyVersionsResponseObject, error) {
	limit, err := pageLimit(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	before, err := readNumberCursor(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	items, next, err := s.policies.Versions(ctx, layerKey(req.Tier, req.ID), before, limit)
	if err != nil {
		return nil, err
	}
	page := api.PolicyVersionPage{Items: each(items, policyVersionToAPI)}
	if next > 0 {
		page.NextCursor = numberCursor(next)
	}
	return api.ListPolicyVersions200JSONResponse(page), nil
}

// GetPolicyVersion handles GET /policies/{tier}/{id}/versions/{version}.
func (s *Server) GetPolicyVersion(ctx context.Context, req api.GetPolicyVersionRequestObject) (api.GetPolicyVersionResponseObject, error) {
	v, err := s.policies.Version(ctx, layerKey(req.Tier, req.ID), req.Version)
	if err != nil {
		return nil, err
	}
	return api.GetPolicyVersion200JSONResponse(policyVersionToAPI(v)), nil
}

// ValidatePolicy handles POST /policies:validate.
func (s *Server) ValidatePolicy(ctx context.Context, req api.ValidatePolicyRequestObject) (api.ValidatePolicyResponseObject, error) {
	v, err := s.schemas.Policy(layerKey(req.Params.Tier, req.Params.ID), *req.Body)
	if err != nil {
		return nil, err
	}
	verdict, err := s.policies.Validate(ctx, v)
	if err != nil {
		return nil, err
	}
	return api.ValidatePolicy200JSONResponse(verdictToAPI(verdict)), nil
}

// VisitPutPolicyResponse writes the answer, as do the others.
func (a answer) VisitPutPolicyResponse(w http.ResponseWriter) error      { return a(w) }
func (a answer) VisitDeletePolicyResponse(w http.ResponseWriter) error   { return a(w) }
func (a answer) VisitRollbackPolicyResponse(w http.ResponseWriter) error { return a(w) }

// policiesFor is the service, or the one whose writes keep nothing.
func (s *Server) policiesFor(rehearsed bool) *policies.Service {
	if rehearsed {
		return s.rehearsal.Policies
	}
	return s.policies
}

// policyWrite reads what a write of a policy has beside its document.
func policyWrite(ifMatch, ifNoneMatch, confirm *string) (policies.Write, error) {
	pre, err := precondition(ifMatch, ifNoneMatch)
	if err != nil {
		return policies.Write{}, err
	}
	if confirm != nil && !api.PutPolicyParamsConfirm(*confirm).Valid() {
		return policies.Write{}, registry.Invalid.Errorf(codeParameter, "confirm can be %s", api.ConfirmDeniesEveryone)
	}
	return policies.Write{Pre: pre, DeniesEveryone: confirm != nil}, nil
}

// layerKey names a layer as the path does. What no layer can be called is not found.
func layerKey(tier, id string) registry.LayerKey {
	return registry.LayerKey{Tier: registry.Tier(tier), ID: id}
}
