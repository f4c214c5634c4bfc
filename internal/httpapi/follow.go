package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// Follower is the registry in memory. *snapshot.Follower implements it.
type Follower interface {
	// WaitFor returns once memory shows the state, or an error when ctx ends.
	WaitFor(ctx context.Context, h registry.Head) error
}

// catchUp is how long a write waits for memory to show it, at most.
const catchUp = 250 * time.Millisecond

// readYourWrites answers a write only when this replica's memory shows it, so
// that who puts a resource finds its metadata. A database that went away
// meanwhile, or a slow one, holds the answer up no longer than catchUp: the
// write has been done.
func readYourWrites(heads Heads, follower Follower) api.StrictMiddlewareFunc {
	return func(next api.StrictHandlerFunc, method string) api.StrictHandlerFunc {
		if follower == nil || operations[strings.ToLower(method[:1])+method[1:]].action == "" { // the generated code names the Go method
			return next
		}
		return func(c echo.Context, request any) (any, error) {
			response, err := next(c, request)
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithTimeout(c.Request().Context(), catchUp)
			defer cancel()
			if head, err := heads.Head(ctx); err == nil {
				_ = follower.WaitFor(ctx, head) // late is no failure
			}
			return response, nil
		}
	}
}
