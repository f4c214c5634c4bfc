package auth0

import (
	"context"
	"errors"
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

// call makes one call, and waits for a free place within the rate limit.
func (p *preparer) call(ctx context.Context, op operation, f func(context.Context) error) error {
	return p.client.patientCall(ctx, op, f)
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
