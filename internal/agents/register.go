package agents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// Registration is what a caller asks for: a document that its schemas have
// accepted.
type Registration struct {
	// TypeRevision is that of the agent type whose schema accepted Config.
	TypeRevision int64

	Name, Team, AgentType, Environment, Owner, Description string

	Scopes       *[]string // nil: of the type's default those that no ceiling keeps from it
	Capabilities []registry.Capability
	Labels       map[string]string
	Config       json.RawMessage
	Quota        registry.Quota

	ExpiresAt           time.Time           // zero: never
	CredentialsExpireAt time.Time           // zero: never
	Authentication      registry.AuthMethod // "": ClientSecretPost
	Keys                json.RawMessage     // JWK Set, with PrivateKeyJWT

	// AdoptClientID is a client that exists, to become the agent's; it keeps its
	// secret. For admins.
	AdoptClientID string

	Key, Fingerprint string // Idempotency-Key, and the hash of the request that it goes with; "": none
	DryRun           bool
}

// Registered is an agent with what it was given.
type Registered struct {
	Agent       registry.Agent
	Credentials *registry.Credentials // the only copy; nil when there are none to hand out
	Replayed    bool                  // by an earlier call with the same Idempotency-Key
}

// Register records the agent that r describes and provisions it at every
// provider. An agent that is Ready is wholly there, with its credentials; one that
// is not is being brought there, and its credentials are collected later: with the
// same Idempotency-Key, or with Rotate.
//
// It returns Forbidden when the caller may not act for the team or the agent
// type, the environment or the team does not allow what r asks for; Invalid when
// r names a type or an environment that does not exist, or repeats a key with
// another request; Conflict when the name is taken, when a registration with the
// same key is still running, or with code rules_changed when the agent type is no
// longer the one that accepted r (validate it again); Refused when a provider said
// no for good: the agent is taken back then and the name is free; and Unavailable
// when the registry did not answer.
func (s *Service) Register(ctx context.Context, by registry.Principal, r Registration) (Registered, error) {
	if !by.ActsFor(r.Team) {
		return Registered{}, registry.Forbidden.Errorf("team_not_allowed", "you are not a member of team %q", r.Team).
			With(registry.FieldError{Pointer: "/team", Code: "team_not_allowed", Detail: "is not one of your teams"})
	}
	if r.AdoptClientID != "" && !by.Can(registry.Admin) {
		return Registered{}, registry.Forbidden.Errorf("permission_denied", "adopting a client that exists needs the permission %q", registry.Admin).
			With(registry.FieldError{Pointer: "/adopt", Code: "permission_denied", Detail: "is for admins"})
	}
	if err := s.adoptable(ctx, by, r.AdoptClientID); err != nil {
		if r.Key == "" || r.DryRun {
			return Registered{}, err
		}
		// Another request with the key may be what the client was taken by.
		replayed, none := s.Replay(ctx, by, r.Key, r.Fingerprint)
		if errors.Is(none, registry.NotFound) {
			return Registered{}, err
		}
		return replayed, none
	}
	intentID := ""
	if r.AdoptClientID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Registered{}, fmt.Errorf("make an intent id: %w", err)
		}
		intentID = id.String()
	}
	a, lease, err := s.record(ctx, by, r, intentID)
	if e, ok := registry.AsError(err); ok && e.Code == codeKeyInUse {
		return s.Replay(ctx, by, r.Key, r.Fingerprint) // another request with the key was faster
	}
	if err != nil || r.DryRun {
		return Registered{Agent: a}, err
	}
	workCtx, cancel := detached(ctx, s.options.Inline)
	defer cancel()
	p := &pass{s: s, agent: a, lease: lease, intentID: intentID}
	switch err := p.run(workCtx); {
	case err == nil && r.AdoptClientID != "": // its secret is known to whoever made it
		return Registered{Agent: p.agent, Credentials: &registry.Credentials{ClientID: r.AdoptClientID}}, nil
	case err == nil:
		return Registered{Agent: p.agent, Credentials: p.issued}, nil
	case errors.Is(err, registry.Refused) && !errors.Is(err, registry.ErrLeaseLost):
		return Registered{}, s.takeBack(ctx, p, err, by.Actor(ctx))
	default: // the rest goes on without the request
		now := s.present(ctx, a)
		if now.Lifecycle == registry.Decommissioned {
			return Registered{}, deletedMeanwhile(err)
		}
		return Registered{Agent: now}, nil
	}
}

func deletedMeanwhile(cause error) error {
	return registry.Conflict.Wrap(cause, "deleted_meanwhile", "the agent was deleted while it was being registered")
}

// adoptable refuses clients that cannot become an agent's: one that is not there,
// that names an agent which lives or is still being removed, or with which people
// log in, since an agent's client does nothing but get tokens of its own. Nor can the caller's own: an agent's client is
// shut out of the control plane for ever, and so would be all who come with it.
func (s *Service) adoptable(ctx context.Context, by registry.Principal, clientID string) error {
	if clientID == "" {
		return nil
	}
	const pointer = "/adopt/client_id"
	if clientID == by.ClientID {
		return registry.Invalid.Errorf("invalid_registration", "the client cannot become an agent's").
			With(registry.FieldError{Pointer: pointer, Code: "client_not_adoptable", Detail: "is the one that your own token was issued to"})
	}
	c, err := s.identity.InspectClient(ctx, clientID)
	switch {
	case errors.Is(err, registry.NotFound):
		return registry.Invalid.Wrap(err, "invalid_registration", "the registration names what does not exist").
			With(registry.FieldError{Pointer: pointer, Code: "unknown_client", Detail: "is no client of the identity provider"})
	case err != nil:
		return err
	case !registry.SameSet(c.GrantTypes, []string{"client_credentials"}):
		return registry.Invalid.Errorf("invalid_registration", "the client cannot become an agent's").
			With(registry.FieldError{Pointer: pointer, Code: "client_not_adoptable", Detail: "must use the client_credentials grant alone; it has " + strings.Join(c.GrantTypes, ", ")})
	}
	return s.released(ctx, c.AgentID)
}

// released refuses a client that names the agent, unless that agent is gone, and
// with it whoever may still take from the client what the agent had. It stays gone,
// so what was found here is still so when the adoption is recorded.
func (s *Service) released(ctx context.Context, agentID string) error {
	if !registry.IsUUID(agentID) { // anybody can write anything into a client's metadata
		return nil
	}
	a, err := s.store.Agent(ctx, agentID, true)
	if errors.Is(err, registry.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	taken := func(detail string) *registry.Error {
		return registry.Conflict.Errorf("client_taken", "the client %s", detail).
			With(registry.FieldError{Pointer: "/adopt/client_id", Code: "client_taken", Detail: detail})
	}
	switch {
	case a.Lifecycle == registry.Active:
		return taken("is an agent's already")
	case !a.Convergence.DueAt.IsZero():
		e := taken("is still being taken from an agent that is gone; repeat the call later")
		e.RetryAfter = s.options.Lease
		return e
	}
	return nil
}

// maxRuleChanges is how often an admin may change the rules under a
// registration before it gives up.
const maxRuleChanges = 5

// codeKeyInUse is the code of the Conflict that says that another registration
// has the key.
const codeKeyInUse = "idempotency_key_in_use"

// record judges r by the rules and records the agent, on condition that the
// rules still hold when the row is written.
func (s *Service) record(ctx context.Context, by registry.Principal, r Registration, intentID string) (registry.Agent, registry.Lease, error) {
	for attempt := 1; ; attempt++ {
		rules, err := s.rules(ctx, r)
		if err != nil {
			return registry.Agent{}, registry.Lease{}, err
		}
		a, err := admit(r, rules)
		if err != nil {
			return registry.Agent{}, registry.Lease{}, err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return registry.Agent{}, registry.Lease{}, fmt.Errorf("make an agent id: %w", err)
		}
		a.ID, a.ClientID = id.String(), r.AdoptClientID
		n := registry.NewAgent{Agent: a, IntentID: intentID, Rules: rules, Lease: s.options.Lease, DryRun: r.DryRun}
		if r.Key != "" {
			n.Key = &registry.IdempotencyKey{Principal: by.Subject, Key: r.Key, Fingerprint: r.Fingerprint}
		}
		writeCtx, cancel := detached(ctx, s.options.Inline)
		recorded, lease, err := s.store.CreateAgent(writeCtx, n, by.Actor(ctx))
		cancel()
		switch e, ok := registry.AsError(err); {
		case err == nil:
			return recorded, lease, nil
		case ok && e.Code == "rules_changed" && attempt < maxRuleChanges:
			continue
		default:
			// The connection can break when the commit is done and its answer is not
			// here. The agent is there then, and is brought on by whoever claims it.
			return registry.Agent{}, registry.Lease{}, err
		}
	}
}

// takeBack removes an agent whose registration a provider refused with cause, and
// returns what the caller is to be told. The pass that failed has ended its lease;
// whoever works on the agent next finds that it is to go.
func (s *Service) takeBack(ctx context.Context, p *pass, cause error, by registry.Actor) error {
	gone, err := s.update(ctx, p.agent.ID, registry.AgentUpdate{
		Action: "agent.take_back", Detail: publicText(cause), By: by, Apply: ofTeam(p.agent.Team, applyRemoval),
	})
	switch {
	case errors.Is(err, registry.NotFound):
		return deletedMeanwhile(cause)
	case errors.Is(err, registry.Conflict): // it is another team's now
		return err
	case err != nil:
		s.log.ErrorContext(ctx, "a registration was refused and could not be taken back", "agent_id", p.agent.ID, "error", errors.Join(cause, err))
		e := registry.Unavailable.Wrap(cause, "registration_incomplete", fmt.Sprintf(
			"the registration was refused (%s) and could not be taken back; it has no authority, and DELETE /agents/%s removes it", publicText(cause), p.agent.ID))
		return e
	case !gone.Convergence.Converged():
		s.log.WarnContext(ctx, "a registration was refused; what it made is being removed", "agent_id", p.agent.ID)
	}
	return cause
}
