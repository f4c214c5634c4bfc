package auth0

import (
	"context"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// trigger is the point at which an application gets a token for itself.
const trigger = management.ActionTriggerCredentialsExchange

// actionTrigger is one version of a trigger. The SDK's type lacks the runtime.
type actionTrigger struct {
	ID             string `json:"id"`
	Version        string `json:"version"`
	Status         string `json:"status"`
	DefaultRuntime string `json:"default_runtime"`
}

// currentTrigger returns the version of the trigger that the tenant recommends.
func (p *preparer) currentTrigger(ctx context.Context) (actionTrigger, error) {
	var list struct {
		Triggers []actionTrigger `json:"triggers"`
	}
	m := p.client.management
	err := p.call(ctx, opListTriggers, func(ctx context.Context) error {
		return m.Request(ctx, "GET", m.URI("actions", "triggers"), &list)
	})
	if err != nil {
		return actionTrigger{}, err
	}
	i := slices.IndexFunc(list.Triggers, func(t actionTrigger) bool {
		return t.ID == trigger && t.Version != "" && strings.EqualFold(t.Status, "current")
	})
	if i < 0 {
		return actionTrigger{}, registry.Refused.Errorf(codeRefused, "the Auth0 tenant offers no current version of the trigger %s", trigger)
	}
	return list.Triggers[i], nil
}
