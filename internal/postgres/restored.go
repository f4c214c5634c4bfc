package postgres

import (
	"context"
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
)

// Restorer is who renews the epoch when an operator says that the database was
// restored (credence restore). Whoever else does so found out that it was.
var Restorer = registry.Actor{Subject: "credence restore"}

const restoreUnconfirmedSQL = `
	SELECT COALESCE((
	    SELECT actor <> $1 FROM audit_events WHERE action = 'registry.renew_epoch' ORDER BY id DESC LIMIT 1), false)`

// RestoreUnconfirmed reports whether the registry was found to have gone back in
// time, and nobody has run credence restore since: what differs from it elsewhere
// may be what is right then.
func (s *Store) RestoreUnconfirmed(ctx context.Context) (bool, error) {
	var unconfirmed bool
	if err := s.pool.QueryRow(ctx, restoreUnconfirmedSQL, Restorer.Subject).Scan(&unconfirmed); err != nil {
		return false, fmt.Errorf("look for a restore: %w", translate(err))
	}
	return unconfirmed, nil
}
