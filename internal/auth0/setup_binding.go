package auth0

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// ensureBinding has the Action run at the trigger, after those bound already, so
// that no other Action has the last word on its claims. Auth0 replaces the whole
// list of bindings: it is read, extended, written and read again.
func (p *preparer) ensureBinding(ctx context.Context, actionID string) error {
	object := fmt.Sprintf("binding of %s to %s", p.actionName(), trigger)
	bindings, err := p.bindings(ctx)
	if err != nil {
		return err
	}
	if actionID != "" && slices.Contains(boundActions(bindings), actionID) {
		p.report.Add(object, setup.Unchanged, "")
		return nil
	}
	wanted, err := p.extend(bindings, actionID)
	if err != nil {
		return err
	}
	if !p.config.DryRun {
		err := p.call(ctx, opWriteBindings, func(ctx context.Context) error {
			return p.client.management.Action.UpdateBindings(ctx, trigger, wanted)
		})
		if err != nil {
			return err
		}
		p.wrote("the %s", object)
		if err := p.verifyBindings(ctx, append(boundActions(bindings), actionID)); err != nil {
			return err
		}
	}
	p.report.Add(object, setup.Created, fmt.Sprintf("after %d others", len(bindings)))
	return nil
}

func (p *preparer) bindings(ctx context.Context) ([]*management.ActionBinding, error) {
	return readPages(ctx, p, opListBindings, (*management.ActionBinding).GetID,
		func(ctx context.Context, page int) ([]*management.ActionBinding, int, error) {
			list, err := p.client.management.Action.Bindings(ctx, trigger,
				management.PerPage(setupPageSize), management.Page(page))
			if err != nil || list == nil {
				return nil, 0, orIncomplete(err)
			}
			return list.Bindings, list.Total, nil
		})
}

// extend returns the bindings to write: those that are there, in their order and
// under their names, then ours.
func (p *preparer) extend(bindings []*management.ActionBinding, actionID string) ([]*management.ActionBinding, error) {
	var wanted []*management.ActionBinding
	for _, b := range bindings {
		if b.GetAction().GetID() == "" || len(b.Secrets) > 0 {
			// Secrets are not shown, so writing the binding anew would lose them.
			return nil, registry.Refused.Errorf(codeRefused,
				"the binding %q cannot be kept as it is: bind the action %s to %s in Auth0's dashboard", b.GetDisplayName(), p.actionName(), trigger)
		}
		wanted = append(wanted, newBinding(b.GetAction().GetID(), b.DisplayName))
	}
	return append(wanted, newBinding(actionID, new(p.actionName()))), nil
}

func newBinding(actionID string, displayName *string) *management.ActionBinding {
	return &management.ActionBinding{
		DisplayName: displayName,
		Ref:         &management.ActionBindingReference{Type: new(management.ActionBindingReferenceByID), Value: &actionID},
	}
}

// verifyBindings makes sure that the trigger runs exactly the given Actions now.
func (p *preparer) verifyBindings(ctx context.Context, want []string) error {
	bindings, err := p.bindings(ctx)
	if err != nil {
		return err
	}
	if got := boundActions(bindings); !slices.Equal(got, want) {
		return registry.Unavailable.Errorf(codeUnavailable,
			"the trigger %s runs the actions %s, where %s were bound: somebody changed the bindings at the same moment",
			trigger, strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return nil
}

func boundActions(bindings []*management.ActionBinding) []string {
	ids := make([]string, len(bindings))
	for i, b := range bindings {
		ids[i] = b.GetAction().GetID()
	}
	return ids
}
