package auth0

import (
	"context"
	"fmt"
	"time"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// How long Setup waits until Auth0 has built or deployed the Action; it takes
// seconds.
const (
	buildTimeout     = 2 * time.Minute
	minBuildInterval = 100 * time.Millisecond
	maxBuildInterval = 2 * time.Second
)

// deploy waits until the Action is built, deploys it, and waits until code is
// what runs.
func (p *preparer) deploy(ctx context.Context, id, code string) error {
	if p.config.DryRun {
		return nil
	}
	if err := p.await(ctx, id, "built", func(a *management.Action) bool { return a.GetStatus() == management.ActionStatusBuilt }); err != nil {
		return err
	}
	err := p.call(ctx, opDeployAction, func(ctx context.Context) error {
		_, err := p.client.management.Action.Deploy(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.await(ctx, id, "deployed", func(a *management.Action) bool { return isDeployed(a, code) }); err != nil {
		return err
	}
	p.wrote("the deployment of the action %s", p.actionName())
	return nil
}

// await reads the Action until done says yes, at growing intervals.
func (p *preparer) await(ctx context.Context, id, what string, done func(*management.Action) bool) error {
	deadline := time.Now().Add(buildTimeout)
	for interval := minBuildInterval; ; interval = min(2*interval, maxBuildInterval) {
		action, err := p.readAction(ctx, id)
		switch {
		case err != nil:
			return err
		case done(action):
			return nil
		case action.GetStatus() == management.ActionStatusFailed:
			return registry.Refused.Errorf(codeRefused, "Auth0 could not build the action %s: its log in the dashboard says why", p.actionName())
		case time.Now().After(deadline):
			return registry.Unavailable.Errorf(codeUnavailable, "the action %s was not %s within %s", p.actionName(), what, buildTimeout)
		}
		if err := wait(ctx, interval); err != nil {
			return registry.Unavailable.Wrap(err, codeUnavailable, fmt.Sprintf("gave up before the action %s was %s", p.actionName(), what))
		}
	}
}

func isDeployed(a *management.Action, code string) bool {
	return a.GetDeployedVersion().GetCode() == code
}
