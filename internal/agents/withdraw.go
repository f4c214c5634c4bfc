package agents

import (
	"context"
	"errors"
	"time"

	"github.com/credenceproject/credence/internal/crash"
	"github.com/credenceproject/credence/internal/registry"
)

// suspend shuts a suspended agent out: the secret store refuses it, and the
// identity provider gives it no more tokens. Policy denies it since the change was
// committed; who never saw that is wrong for a token's lifetime at most
// (invariant C5).
func (p *pass) suspend(ctx context.Context) (registry.Finish, error) {
	err := errors.Join(
		p.undo(ctx, func(ctx context.Context) error { return p.s.secrets.DisableEntity(ctx, p.agent.ID) }, registry.StepEntity),
		p.undo(ctx, func(ctx context.Context) error {
			if p.agent.ClientID == "" {
				return nil
			}
			return p.s.identity.DeleteGrants(ctx, p.agent.ClientID)
		}, registry.StepGrant),
	)
	if err != nil {
		return registry.Finish{}, err
	}
	return registry.Finish{
		Generation: p.agent.Convergence.Generation, Published: p.agent.Published,
		Again: p.secondLook(),
	}, nil
}

// secondLook is when to see again to it that an agent is shut out: a lease
// later, when no call of a holder who lost it can be under way any more
// (invariant C2). After the second look there is none.
func (p *pass) secondLook() time.Duration {
	if p.agent.Convergence.Passes > 0 {
		return 0
	}
	return p.s.options.Lease
}

// retire takes a decommissioned agent back from the providers: the secret store
// first, since its refusal bites at once while a client's tokens live on. One
// failing does not keep the other from being told. The entity is deleted only
// when the last token has expired; until then it stands disabled.
func (p *pass) retire(ctx context.Context) (registry.Finish, error) {
	// Nobody was ever given a secret of an agent that policy never saw.
	unseen := p.agent.Revision == 0
	remove := p.s.secrets.DisableEntity
	if unseen || p.agent.Convergence.Passes >= 2 {
		remove = p.s.secrets.DeleteEntity
	}
	err := errors.Join(
		p.undo(ctx, func(ctx context.Context) error { return remove(ctx, p.agent.ID) }, registry.StepEntity, registry.StepAlias),
		p.undo(ctx, p.deleteClients, registry.StepClient, registry.StepGrant),
	)
	if err != nil {
		return registry.Finish{}, err
	}
	f := registry.Finish{
		Generation: p.agent.Convergence.Generation,
		Steps:      []registry.StepName{registry.StepPolicy}, StepState: registry.StepUndone,
		Again: p.secondLook(),
	}
	if p.agent.Convergence.Passes == 1 && !unseen {
		f.Again = p.s.options.TokenLifetime
	}
	return f, nil
}

// withdraw removes everything that the agent has at the providers, for it to be
// made anew: nothing of what it had may work again (invariant A6). The entity is
// disabled first, so that no token of it works while the rest goes.
func (p *pass) withdraw(ctx context.Context) error {
	if err := p.call(ctx, func(ctx context.Context) error { return p.s.secrets.DisableEntity(ctx, p.agent.ID) }); err != nil {
		return err
	}
	crash.At("withdraw-disabled")
	if err := p.call(ctx, p.deleteClients); err != nil {
		return err
	}
	crash.At("withdraw-clients")
	if err := p.call(ctx, func(ctx context.Context) error { return p.s.secrets.DeleteEntity(ctx, p.agent.ID) }); err != nil {
		return err
	}
	crash.At("withdraw-done")
	err := p.record(ctx, registry.Progress{
		Steps: registry.Steps[:len(registry.Steps)-1], State: registry.StepPending, Forget: registry.Steps, Renewed: true,
	})
	if err != nil {
		return err
	}
	a := &p.agent
	a.ClientID, a.GrantID, a.EntityID, a.AliasID = "", "", "", ""
	a.Convergence.Renewal = registry.RenewNothing
	a.Reopen(registry.Steps...)
	return nil
}

// undo takes something back from a provider and writes down how it went.
func (p *pass) undo(ctx context.Context, remove func(context.Context) error, steps ...registry.StepName) error {
	crash.At("undo-" + string(steps[0]))
	err := p.call(ctx, remove)
	if errors.Is(err, registry.ErrLeaseLost) {
		return err
	}
	crash.At("undo-" + string(steps[0]) + "-done")
	progress := registry.Progress{Steps: steps, State: registry.StepUndone}
	if err != nil {
		progress.State, progress.Error = registry.StepFailed, publicText(err)
	}
	return errors.Join(err, p.record(ctx, progress))
}

// deleteClients deletes the agent's client, and those that an attempt made whose
// answer was lost: they are found by what they carry.
func (p *pass) deleteClients(ctx context.Context) error {
	spared, err := p.isBorrowed(ctx)
	if err != nil {
		return err
	}
	switch {
	case spared && p.agent.GrantID != "":
		err = p.s.identity.DeleteGrants(ctx, p.agent.ClientID)
	case !spared && p.agent.ClientID != "":
		err = p.s.identity.DeleteClient(ctx, p.agent.ClientID)
	}
	if err != nil {
		return err
	}
	open, clients, err := p.unsettled(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	for _, c := range clients {
		if err := p.s.identity.DeleteClient(ctx, c.ClientID); err != nil {
			return err
		}
	}
	return p.endIntents(ctx, open)
}

// isBorrowed reports whether the agent's client existed before it and never came to
// be an agent's: it does what somebody made it for, and a registration that did not
// succeed leaves it there.
func (p *pass) isBorrowed(ctx context.Context) (bool, error) {
	if p.agent.ClientID == "" || p.agent.Revision != 0 { // policy saw the agent with it
		return false, nil
	}
	return p.s.store.IsAdoptedClient(ctx, p.agent.ClientID)
}
