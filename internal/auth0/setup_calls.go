package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// The calls of Setup.
var (
	opListServers   = operation{name: "list_resource_servers", does: "list the resource servers", scope: "read:resource_servers"}
	opCreateServer  = operation{name: "create_resource_server", does: "create the resource server", scope: "create:resource_servers"}
	opUpdateServer  = operation{name: "update_resource_server", does: "change the resource server", scope: "update:resource_servers"}
	opListTriggers  = operation{name: "list_triggers", does: "list the triggers", scope: "read:actions"}
	opListActions   = operation{name: "list_actions", does: "list the Actions", scope: "read:actions"}
	opReadAction    = operation{name: "read_action", does: "read the claims Action", scope: "read:actions"}
	opCreateAction  = operation{name: "create_action", does: "create the claims Action", scope: "create:actions"}
	opUpdateAction  = operation{name: "update_action", does: "change the claims Action", scope: "update:actions"}
	opDeployAction  = operation{name: "deploy_action", does: "deploy the claims Action", scope: "update:actions"}
	opListBindings  = operation{name: "list_bindings", does: "list the Actions bound to the trigger", scope: "read:actions"}
	opWriteBindings = operation{name: "write_bindings", does: "bind the claims Action", scope: "update:actions"}
)

// setupPageSize is how many items Setup asks for at once. Auth0 lists at most
// fifty Actions.
const setupPageSize = 50

// How patiently Setup waits for a free place within the rate limit. A free
// tenant allows two calls a second, and Setup makes a dozen.
const (
	maxRateWaits = 10
	minRateWait  = time.Second
)

// call makes one call, and makes it again after a wait where Auth0 refused it
// for its rate: such a call was not carried out.
func (p *preparer) call(ctx context.Context, op operation, f func(context.Context) error) error {
	for waits := 0; ; waits++ {
		var raw error
		err := p.client.call(ctx, op, func(ctx context.Context) error {
			raw = f(ctx)
			return raw
		})
		if !isStatus(raw, http.StatusTooManyRequests) || waits == maxRateWaits {
			return err
		}
		known, _ := registry.AsError(err)
		if waitErr := wait(ctx, max(known.RetryAfter, minRateWait)); waitErr != nil {
			return err
		}
	}
}

// readPages reads a whole list, page by page.
func readPages[T any](ctx context.Context, p *preparer, op operation, key func(T) string, fetch func(ctx context.Context, page int) ([]T, int, error)) ([]T, error) {
	items, err := readList(setupPageSize, key, func(page int) (items []T, total int, err error) {
		err = p.call(ctx, op, func(ctx context.Context) (err error) {
			items, total, err = fetch(ctx, page)
			return err
		})
		return items, total, err
	})
	if errors.Is(err, errIncomplete) {
		return nil, op.unavailable(err)
	}
	return items, err
}

// wait returns after d, or earlier with the reason why ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for Auth0: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}
