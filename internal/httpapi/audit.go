package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

// ListAudit handles GET /audit.
func (s *Server) ListAudit(ctx context.Context, req api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	f, err := auditFilter(req.Params)
	if err != nil {
		return nil, err
	}
	page := api.ListAudit200JSONResponse{Items: []api.AuditEvent{}}
	if by := authn.PrincipalFrom(ctx); !by.Can(registry.Admin) {
		if f.Teams = by.Teams; len(f.Teams) == 0 {
			return page, nil // no list of teams is all of them
		}
	}
	events, more, err := s.audit.Audit(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		page.Items = append(page.Items, auditEventToAPI(e))
	}
	if more && len(events) > 0 {
		page.NextCursor = numberCursor(events[len(events)-1].ID)
	}
	return page, nil
}

func auditFilter(p api.ListAuditParams) (registry.AuditFilter, error) {
	var f registry.AuditFilter
	var err error
	if f.Limit, err = pageLimit(p.Limit); err != nil {
		return f, err
	}
	if f.Before, err = readNumberCursor(p.Cursor); err != nil {
		return f, err
	}
	if f.From, err = timeParameter("from", p.From); err != nil {
		return f, err
	}
	if f.Until, err = timeParameter("until", p.Until); err != nil {
		return f, err
	}
	f.Agent, f.Actor, f.Action = deref(p.Agent), deref(p.Actor), deref(p.Action)
	for _, given := range []struct{ name, value string }{{"agent", f.Agent}, {"actor", f.Actor}, {"action", f.Action}} {
		if !isText(given.value) {
			return f, registry.Invalid.Errorf(codeParameter, "%s is not one that an event can have", given.name)
		}
	}
	return f, nil
}

func auditEventToAPI(e registry.AuditEvent) api.AuditEvent {
	return api.AuditEvent{
		ID: e.ID, At: e.At.UTC(), Actor: e.Actor.Subject, Source: optional(e.Actor.Source), RequestID: optional(e.Actor.RequestID),
		Action: e.Action, Outcome: api.AuditEventOutcome(e.Outcome),
		Object: api.AuditObject{Kind: e.ObjectKind, ID: optional(e.ObjectID), Name: optional(e.ObjectName)},
		Team:   optional(e.Team), Detail: optional(e.Detail), Before: optionalJSON(e.Before), After: optionalJSON(e.After),
	}
}
