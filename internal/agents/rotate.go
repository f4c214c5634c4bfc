package agents

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/credenceproject/credence/internal/crash"
	"github.com/credenceproject/credence/internal/registry"
)

// Rotation asks for new credentials.
type Rotation struct {
	// Keys, a JWK Set of public keys, replaces those that the agent signs with; an
	// agent with a secret has none from then on. nil: a new secret.
	Keys json.RawMessage
	// ExpiresAt is when the new credentials expire; zero: never.
	ExpiresAt time.Time
	// RevokeTokens has policy deny every token that was issued until now.
	RevokeTokens bool
	DryRun       bool
}

// Rotate gives the agent new credentials. Those it had stop working; Auth0 may
// accept the old secret for up to 30 s more.
//
// It returns NotFound, Forbidden, PreconditionFailed, and Conflict when the agent
// is suspended or not ready, is being worked on (agent_busy: repeat the call), or
// signs with keys and no new ones are given. Without an error and with nil
// Credentials it is not known whether the secret changed: repeat the call.
func (s *Service) Rotate(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, r Rotation) (Registered, error) {
	a, err := s.forChange(ctx, by, ref)
	if err != nil {
		return Registered{}, err
	}
	var was registry.Agent
	u := registry.AgentUpdate{
		Action: "agent.rotate", By: by.Actor(ctx), Pre: pre, Lease: s.options.Lease, DryRun: r.DryRun, NeedLease: true,
		Apply: ofTeam(a.Team, func(a *registry.Agent) error {
			was = *a
			return applyRotation(a, r)
		}),
	}
	rotated, err := s.reissue(ctx, a.ID, u, nil)
	if errors.Is(err, registry.Refused) {
		s.rotateBack(ctx, a.ID, was, r, err, u.By)
	}
	return rotated, err
}

// rotateBack gives the agent back how it authenticated before a rotation that a
// provider refused for good: it would else wait for ever for what never comes.
func (s *Service) rotateBack(ctx context.Context, agentID string, was registry.Agent, r Rotation, refused error, by registry.Actor) {
	_, err := s.update(ctx, agentID, registry.AgentUpdate{
		Action: "agent.rotate_back", Detail: publicText(refused), By: by,
		Apply: func(a *registry.Agent) error {
			if a.ClientID != was.ClientID || (r.Keys != nil && !sameJSON(a.Keys, r.Keys)) {
				return registry.ErrUnchanged // somebody has changed it since
			}
			a.Authentication, a.Keys, a.CredentialsExpireAt = was.Authentication, was.Keys, was.CredentialsExpireAt
			if r.Keys != nil {
				a.Reopen(registry.StepClient)
			}
			narrow(a)
			return nil
		},
	})
	if err != nil {
		s.log.ErrorContext(ctx, "a rotation was refused and could not be taken back", "agent_id", agentID, "error", errors.Join(refused, err))
	}
}

func applyRotation(a *registry.Agent, r Rotation) error {
	switch {
	case a.Suspended:
		return registry.Conflict.Errorf("agent_suspended", "the agent is suspended; resume it first")
	case a.ClientID == "" || a.Published == nil:
		return registry.Conflict.Errorf("agent_not_ready", "the agent has no credentials yet; wait until it is ready")
	case r.Keys == nil && a.Authentication == registry.PrivateKeyJWT:
		return registry.Conflict.Errorf("keys_needed", "the agent signs with keys of its own; send its new public keys as jwks")
	case r.Keys != nil:
		a.Authentication, a.Keys = registry.PrivateKeyJWT, r.Keys
		a.Reopen(registry.StepClient)
	}
	a.CredentialsExpireAt = r.ExpiresAt
	if r.RevokeTokens {
		a.TokensValidAfter = nextSecond(time.Now())
	}
	narrow(a)
	return nil
}

// reissue makes the change u and, within the same pass, gives the agent a new
// secret; key is the one under which it was asked for, or nil.
func (s *Service) reissue(ctx context.Context, agentID string, u registry.AgentUpdate, key *registry.IdempotencyKey) (Registered, error) {
	writeCtx, cancelWrite := detached(ctx, s.options.Inline) // who hangs up must not leave a lease that nobody uses
	defer cancelWrite()
	a, lease, err := s.store.UpdateAgent(writeCtx, agentID, u)
	if u.DryRun {
		a.CredentialGeneration++
	}
	if err != nil || lease == nil { // of a dry run, and where there is nothing to change
		return Registered{Agent: a}, err
	}
	p := &pass{s: s, agent: a, lease: *lease, rotate: true, key: key}
	workCtx, cancel := detached(ctx, s.options.Inline)
	defer cancel()
	switch err := p.run(workCtx); {
	case errors.Is(err, registry.Refused):
		return Registered{}, err
	case err != nil: // the rest goes on without the request
		return Registered{Agent: s.present(ctx, p.agent)}, nil
	}
	return Registered{Agent: p.agent, Credentials: p.issued}, nil
}

// issue replaces the client's secret. That it did is counted before anybody is
// given it.
func (p *pass) issue(ctx context.Context) error {
	creds := registry.Credentials{ClientID: p.agent.ClientID}
	if p.agent.Authentication != registry.PrivateKeyJWT {
		err := p.call(ctx, func(ctx context.Context) (err error) {
			creds, err = p.s.identity.RotateSecret(ctx, p.agent.ClientID)
			return err
		})
		if err != nil {
			return refusal(err)
		}
		crash.At("rotated")
	}
	noteCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	if err := p.s.store.IssueCredentials(noteCtx, p.lease, p.key); err != nil {
		return err
	}
	p.issued = &creds
	return nil
}
