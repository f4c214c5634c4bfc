package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListDrift handles GET /drift.
func (s *Server) ListDrift(ctx context.Context, req api.ListDriftRequestObject) (api.ListDriftResponseObject, error) {
	limit, err := pageLimit(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after, err := readNumberCursor(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	found, more, err := s.drift.Drifts(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	page := api.ListDrift200JSONResponse{Items: make([]api.DriftRecord, len(found))}
	for i, d := range found {
		page.Items[i] = driftToAPI(d)
	}
	if more && len(found) > 0 {
		page.NextCursor = numberCursor(found[len(found)-1].ID)
	}
	return page, nil
}

// RepairDrift handles POST /drift/repair.
func (s *Server) RepairDrift(ctx context.Context, req api.RepairDriftRequestObject) (api.RepairDriftResponseObject, error) {
	agent, err := s.schemas.DriftRepair(deref(req.Body))
	if err != nil {
		return nil, err
	}
	queued, err := s.drift.Repair(ctx, authn.PrincipalFrom(ctx), agent)
	if err != nil {
		return nil, err
	}
	return api.RepairDrift202JSONResponse{Queued: queued}, nil
}

func driftToAPI(d registry.DriftRecord) api.DriftRecord {
	return api.DriftRecord{
		ID: d.ID, Provider: d.Provider, ObjectKind: d.ObjectKind, ObjectID: d.ObjectID, AgentID: optional(d.AgentID),
		Field: d.Field, Expected: d.Expected, Found: d.Found, Action: api.DriftRecordAction(d.Action),
		FirstSeen: d.FirstSeen.UTC(), LastSeen: d.LastSeen.UTC(),
	}
}
