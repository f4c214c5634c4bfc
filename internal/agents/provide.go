package agents

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// provide gives the agent what it is to have at the providers; authority appears
// last, with the end of the pass. Steps that are done are not made again.
func (p *pass) provide(ctx context.Context) (registry.Finish, error) {
	steps := []struct {
		name   registry.StepName
		ensure func(context.Context) error
	}{
		{registry.StepClient, p.ensureClient},
		{registry.StepGrant, p.ensureGrant},
		{registry.StepEntity, p.ensureEntity},
		{registry.StepAlias, p.ensureAlias},
	}
	for _, step := range steps {
		if p.agent.StepState(step.name) == registry.StepDone {
			continue
		}
		if err := step.ensure(ctx); err != nil {
			return registry.Finish{}, err
		}
	}
	if p.rotate {
		if err := p.issue(ctx); err != nil {
			return registry.Finish{}, err
		}
	}
	facts := p.agent.Facts()
	return registry.Finish{
		Generation: p.agent.Convergence.Generation, Published: &facts,
		Steps: []registry.StepName{registry.StepPolicy}, StepState: registry.StepDone,
	}, nil
}

func (p *pass) ensureClient(ctx context.Context) error {
	if p.agent.ClientID != "" {
		return p.step(ctx, registry.StepClient, func(ctx context.Context) (registry.Progress, error) {
			return registry.Progress{}, p.s.identity.EnsureClient(ctx, p.agent)
		})
	}
	fresh := p.intentID
	p.intentID = ""
	if fresh == "" {
		adopted, err := p.settleClient(ctx)
		if err != nil || adopted {
			return err
		}
		if fresh, err = p.beginClient(ctx); err != nil {
			return err
		}
	}
	return p.createClient(ctx, fresh)
}

// createClient makes the client, once, under the intent. The secret stays in this
// pass.
func (p *pass) createClient(ctx context.Context, intentID string) error {
	var creds registry.Credentials
	surelyNot := false
	err := p.step(ctx, registry.StepClient, func(ctx context.Context) (_ registry.Progress, err error) {
		creds, err = p.s.identity.CreateClient(ctx, p.agent, intentID)
		surelyNot = errors.Is(err, registry.Refused) || errors.Is(err, registry.ErrNotDone)
		return registry.Progress{ClientID: creds.ClientID, IntentID: intentID}, err
	})
	if surelyNot && !errors.Is(err, registry.ErrLeaseLost) {
		return errors.Join(err, p.endIntents(ctx, []string{intentID}))
	}
	if err != nil {
		return err
	}
	p.agent.ClientID, p.issued = creds.ClientID, &creds
	return nil
}

// beginClient notes the intent to make a client, before it is made.
func (p *pass) beginClient(ctx context.Context) (intentID string, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an intent id: %w", err)
	}
	noteCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	return id.String(), p.s.store.BeginClient(noteCtx, p.lease, id.String())
}

func (p *pass) endIntents(ctx context.Context, intentIDs []string) error {
	noteCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	return p.s.store.EndIntents(noteCtx, p.lease, intentIDs)
}

// settleClient finds out what became of earlier attempts to make the client: it
// adopts the client that one of them made, and removes those that others made. It
// reports whether there is one.
//
// A client that names the agent and none of these attempts is left alone, for a
// sweep to report: the ids of agents are no secret, and whoever may make clients in
// the tenant would else make the one that the agent gets, and keep its secret.
func (p *pass) settleClient(ctx context.Context) (adopted bool, err error) {
	open, clients, err := p.unsettled(ctx)
	if err != nil || len(open) == 0 {
		return false, err
	}
	clients = slices.DeleteFunc(clients, func(c registry.FoundClient) bool { return !slices.Contains(open, c.IntentID) })
	if len(clients) == 0 {
		return false, p.endIntents(ctx, open)
	}
	slices.SortStableFunc(clients, func(a, b registry.FoundClient) int {
		return slices.Index(open, a.IntentID) - slices.Index(open, b.IntentID)
	})
	keep := clients[len(clients)-1] // of the newest attempt
	for _, surplus := range clients[:len(clients)-1] {
		if err := p.call(ctx, func(ctx context.Context) error { return p.s.identity.DeleteClient(ctx, surplus.ClientID) }); err != nil {
			return false, err
		}
	}
	// It is brought to what the registry says before it counts as made: the
	// agent may have changed since the attempt.
	p.agent.ClientID = keep.ClientID
	err = p.step(ctx, registry.StepClient, func(ctx context.Context) (registry.Progress, error) {
		return registry.Progress{ClientID: keep.ClientID, IntentID: keep.IntentID}, p.s.identity.EnsureClient(ctx, p.agent)
	})
	if err != nil {
		p.agent.ClientID = ""
		return false, err
	}
	rest := slices.DeleteFunc(open, func(id string) bool { return id == keep.IntentID })
	return true, p.endIntents(ctx, rest)
}

// unsettled returns the attempts to make a client whose outcome is not known, and
// the clients that there are. That there are none is an answer only once no
// request to make one can be under way any more; before, it is Unavailable with
// code client_unsettled.
func (p *pass) unsettled(ctx context.Context) (open []string, clients []registry.FoundClient, err error) {
	open, settled, err := p.s.store.OpenIntents(ctx, p.agent.ID, p.s.options.Settle)
	if err != nil || len(open) == 0 {
		return nil, nil, err
	}
	if !settled {
		e := registry.Unavailable.Errorf("client_unsettled", "it is not certain yet whether the identity provider made a client")
		e.RetryAfter = p.s.options.Settle
		return nil, nil, e
	}
	err = p.call(ctx, func(ctx context.Context) (err error) {
		clients, err = p.s.identity.FindClients(ctx, p.agent.ID)
		return err
	})
	return open, clients, err
}

func (p *pass) ensureGrant(ctx context.Context) error {
	return p.step(ctx, registry.StepGrant, func(ctx context.Context) (progress registry.Progress, err error) {
		progress.GrantID, err = p.s.identity.EnsureGrant(ctx, p.agent.ClientID, p.agent.Scopes)
		return progress, err
	})
}

// ensureEntity makes the entity as it is to be. Only here an entity is enabled
// again, by the holder of the lease of an agent that was resumed.
func (p *pass) ensureEntity(ctx context.Context) error {
	renewal := p.agent.Convergence.Renewal
	return p.step(ctx, registry.StepEntity, func(ctx context.Context) (progress registry.Progress, err error) {
		switch renewal {
		case registry.RenewEntity:
			err = p.s.secrets.DeleteEntity(ctx, p.agent.ID)
		case registry.RenewAccess:
			err = p.s.secrets.EnableEntity(ctx, p.agent.ID)
		}
		if err != nil && !errors.Is(err, registry.NotFound) {
			return progress, err
		}
		progress.EntityID, err = p.s.secrets.EnsureEntity(ctx, p.agent)
		progress.Renewed = err == nil && renewal != registry.RenewNothing
		if err == nil {
			p.agent.EntityID = progress.EntityID
		}
		return progress, err
	})
}

func (p *pass) ensureAlias(ctx context.Context) error {
	return p.step(ctx, registry.StepAlias, func(ctx context.Context) (progress registry.Progress, err error) {
		progress.AliasID, err = p.s.secrets.EnsureAlias(ctx, p.agent.EntityID, p.agent.Subject())
		return progress, err
	})
}
