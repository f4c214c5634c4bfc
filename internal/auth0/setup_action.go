package auth0

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// actionName is the Action's name, unique in the tenant.
func (p *preparer) actionName() string { return "credence-claims-" + p.config.Installation }

// claims prepares the Action that writes claims, and its binding.
func (p *preparer) claims(ctx context.Context) error {
	code, err := claimsCode(p.config.Audience, p.config.managedBy())
	if err != nil {
		return err
	}
	current, err := p.currentTrigger(ctx)
	if err != nil {
		return err
	}
	existing, err := p.findAction(ctx)
	if err != nil {
		return err
	}
	if existing != nil && !hasTrigger(existing) {
		return registry.Refused.Errorf(codeRefused, "the Action %s belongs to another trigger: rename or delete it", p.actionName())
	}
	id, err := p.ensureAction(ctx, existing, current, code)
	if err != nil {
		return err
	}
	return p.ensureBinding(ctx, id)
}

// findAction returns the claims Action of this installation, or nil. One that
// belongs to another trigger is returned as the list has it.
func (p *preparer) findAction(ctx context.Context) (*management.Action, error) {
	m := p.client.management
	actions, err := readPages(ctx, p, opListActions, (*management.Action).GetID,
		func(ctx context.Context, page int) ([]*management.Action, int, error) {
			list, err := m.Action.List(ctx, management.Parameter("actionName", p.actionName()),
				management.PerPage(setupPageSize), management.Page(page))
			if err != nil || list == nil {
				return nil, 0, orIncomplete(err)
			}
			return list.Actions, list.Total, nil
		})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(actions, func(a *management.Action) bool { return a.GetName() == p.actionName() })
	if i < 0 {
		return nil, nil
	}
	if !hasTrigger(actions[i]) {
		return actions[i], nil
	}
	return p.readAction(ctx, actions[i].GetID())
}

func (p *preparer) readAction(ctx context.Context, id string) (action *management.Action, err error) {
	err = p.call(ctx, opReadAction, func(ctx context.Context) (err error) {
		action, err = p.client.management.Action.Read(ctx, id)
		if err == nil && action.GetID() != id {
			err = errors.New("the answer is not the action that was asked for")
		}
		return err
	})
	return action, err
}

// ensureAction makes the Action run code, and returns its id; in a dry run that
// would create it the id is "".
func (p *preparer) ensureAction(ctx context.Context, existing *management.Action, current actionTrigger, code string) (string, error) {
	object := "action " + p.actionName()
	want := &management.Action{
		Name:              new(p.actionName()),
		SupportedTriggers: []management.ActionTrigger{{ID: new(current.ID), Version: new(current.Version)}},
		Code:              new(code),
	}
	switch {
	case existing == nil:
		id, err := p.createAction(ctx, want, current)
		if err != nil {
			return "", err
		}
		p.report.Add(object, setup.Created, fmt.Sprintf("trigger %s %s, deployed", current.ID, current.Version))
		return id, nil
	case existing.GetCode() != code || !hasTriggerVersion(existing, current):
		if err := p.updateAction(ctx, existing.GetID(), want); err != nil {
			return "", err
		}
		p.report.Add(object, setup.Updated, "its code or trigger differed; deployed")
	case !isDeployed(existing, code):
		if err := p.deploy(ctx, existing.GetID(), code); err != nil {
			return "", err
		}
		p.report.Add(object, setup.Updated, "deployed")
	default:
		p.report.Add(object, setup.Unchanged, "")
	}
	return existing.GetID(), nil
}

func (p *preparer) createAction(ctx context.Context, action *management.Action, current actionTrigger) (id string, err error) {
	if p.config.DryRun {
		return "", nil
	}
	if current.DefaultRuntime != "" {
		action.Runtime = new(current.DefaultRuntime)
	}
	code := action.GetCode()
	err = p.call(ctx, opCreateAction, func(ctx context.Context) error {
		err := p.client.management.Action.Create(ctx, action)
		if err == nil && action.GetID() == "" {
			err = errors.New("the created action came without its id")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	p.wrote("the action %s", p.actionName())
	return action.GetID(), p.deploy(ctx, action.GetID(), code)
}

func (p *preparer) updateAction(ctx context.Context, id string, action *management.Action) error {
	if p.config.DryRun {
		return nil
	}
	code := action.GetCode()
	err := p.call(ctx, opUpdateAction, func(ctx context.Context) error {
		return p.client.management.Action.Update(ctx, id, action)
	})
	if err != nil {
		return err
	}
	p.wrote("the code of the action %s", p.actionName())
	return p.deploy(ctx, id, code)
}

func hasTrigger(a *management.Action) bool {
	return len(a.SupportedTriggers) == 1 && a.SupportedTriggers[0].GetID() == trigger
}

func hasTriggerVersion(a *management.Action, t actionTrigger) bool {
	return len(a.SupportedTriggers) == 1 && a.SupportedTriggers[0].GetVersion() == t.Version
}
