package httpapi

import (
	"context"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

// PatchAgent handles PATCH /agents/{name}.
func (s *Server) PatchAgent(ctx context.Context, req api.PatchAgentRequestObject) (api.PatchAgentResponseObject, error) {
	if req.Params.IfMatch == nil {
		return nil, registry.PreconditionRequired.Errorf("precondition_required", "send the ETag of the state that you change as If-Match")
	}
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	by := authn.PrincipalFrom(ctx)
	before, err := s.agents.Get(ctx, by, req.Name, false)
	if err != nil {
		return nil, err
	}
	// The patch is for the state that If-Match names. Later the service asks again,
	// with the row locked.
	if err := pre.Check(true, before.Tag()); err != nil {
		return nil, err
	}
	sent, agentType, err := s.registration(ctx, func(w schema.World) (schema.Registration, error) { return s.schemas.Patch(before, *req.JSONBody, w) })
	if err != nil {
		return nil, err
	}
	r := registrationOf(sent, agentType)
	r.DryRun = deref(req.Params.DryRun)
	after, err := s.agents.Change(ctx, by, before.ID, pre, r)
	return s.outcome(before, after, r.DryRun, err)
}

// SuspendAgent handles POST /agents/{name}/suspend.
func (s *Server) SuspendAgent(ctx context.Context, req api.SuspendAgentRequestObject) (api.SuspendAgentResponseObject, error) {
	return s.turn(ctx, s.agents.Suspend, req.Name, *req.Body, req.Params.IfMatch, deref(req.Params.DryRun))
}

// ResumeAgent handles POST /agents/{name}/resume.
func (s *Server) ResumeAgent(ctx context.Context, req api.ResumeAgentRequestObject) (api.ResumeAgentResponseObject, error) {
	return s.turn(ctx, s.agents.Resume, req.Name, *req.Body, req.Params.IfMatch, deref(req.Params.DryRun))
}

// turn suspends or resumes an agent.
func (s *Server) turn(ctx context.Context, turn func(context.Context, registry.Principal, string, registry.Precondition, agents.Switch) (registry.Agent, error),
	ref string, document []byte, ifMatch *string, rehearsed bool,
) (answer, error) {
	sent, err := s.schemas.Switch(document)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, ref, ifMatch, rehearsed, func(by registry.Principal, id string, pre registry.Precondition) (registry.Agent, error) {
		a, err := turn(ctx, by, id, pre, agents.Switch{Reason: sent.Reason, RevokeTokens: sent.RevokeTokens, DryRun: rehearsed})
		if err == nil && !rehearsed {
			s.untilTokensCount(ctx, a)
		}
		return a, err
	})
}

// TransferAgent handles POST /agents/{name}/transfer.
func (s *Server) TransferAgent(ctx context.Context, req api.TransferAgentRequestObject) (api.TransferAgentResponseObject, error) {
	sent, err := s.schemas.Transfer(*req.Body)
	if err != nil {
		return nil, err
	}
	rehearsed := deref(req.Params.DryRun)
	return s.change(ctx, req.Name, req.Params.IfMatch, rehearsed, func(by registry.Principal, id string, pre registry.Precondition) (registry.Agent, error) {
		return s.agents.Transfer(ctx, by, id, pre, agents.Transfer{Team: sent.Team, Owner: sent.Owner, Reason: sent.Reason, DryRun: rehearsed})
	})
}

// RotateAgentCredentials handles POST /agents/{name}/credentials.
func (s *Server) RotateAgentCredentials(ctx context.Context, req api.RotateAgentCredentialsRequestObject) (api.RotateAgentCredentialsResponseObject, error) {
	pre, err := precondition(req.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	sent, err := s.schemas.Rotation(deref(req.Body), s.now())
	if err != nil {
		return nil, err
	}
	r := agents.Rotation{Keys: sent.Keys, ExpiresAt: sent.ExpiresAt, RevokeTokens: sent.RevokeTokens, DryRun: deref(req.Params.DryRun)}
	by := authn.PrincipalFrom(ctx)
	before, err := s.agents.Get(ctx, by, req.Name, false)
	if err != nil {
		return nil, err
	}
	rotated, err := s.agents.Rotate(ctx, by, before.ID, pre, r)
	switch {
	case err != nil:
		return nil, err
	case r.DryRun:
		return s.wouldBe(before, rotated.Agent), nil
	default:
		s.untilTokensCount(ctx, rotated.Agent)
		return s.rotated(rotated), nil
	}
}

// untilTokensCount returns when tokens that the agent gets from now on count: within
// a second of a revocation (`iat` has whole seconds). Who is told of a resumption or
// of new credentials can fetch a token at once.
func (s *Server) untilTokensCount(ctx context.Context, a registry.Agent) {
	left := a.TokensValidAfter.Sub(s.now())
	if a.Suspended || left <= 0 {
		return
	}
	timer := time.NewTimer(min(left, time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// change makes a change of the living agent that ref names.
func (s *Server) change(ctx context.Context, ref string, ifMatch *string, rehearsed bool,
	change func(by registry.Principal, id string, pre registry.Precondition) (registry.Agent, error),
) (answer, error) {
	pre, err := precondition(ifMatch, nil)
	if err != nil {
		return nil, err
	}
	by := authn.PrincipalFrom(ctx)
	before, err := s.agents.Get(ctx, by, ref, false)
	if err != nil {
		return nil, err
	}
	after, err := change(by, before.ID, pre)
	return s.outcome(before, after, rehearsed, err)
}

// outcome answers what became of a change, or would.
func (s *Server) outcome(before, after registry.Agent, rehearsed bool, err error) (answer, error) {
	switch {
	case err != nil:
		return nil, err
	case rehearsed:
		return s.wouldBe(before, after), nil
	default:
		return s.changed(after), nil
	}
}
