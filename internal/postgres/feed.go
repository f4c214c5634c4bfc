package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// Feed reads what followers of the registry need, on connections of its own:
// loading a large registry takes longer than the write pool's timeouts allow
// (invariant F1). It is safe for concurrent use.
type Feed struct {
	dsn func() (string, error)
}

// NewFeed returns a Feed of the database at dsn.
func NewFeed(dsn func() (string, error)) *Feed { return &Feed{dsn: dsn} }

// statementTimeout bounds one statement of a feed, so that a database that has
// gone silent is noticed.
const statementTimeout = time.Minute

func (f *Feed) connect(ctx context.Context) (*pgx.Conn, error) {
	dsn, err := f.dsn()
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the database URL is not valid")
	}
	cfg.ConnectTimeout = 5 * time.Second
	cfg.RuntimeParams["application_name"] = "credence-feed"
	cfg.RuntimeParams["statement_timeout"] = fmt.Sprint(statementTimeout.Milliseconds())
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", translate(err))
	}
	return conn, nil
}

// Session is one connection of a feed, for one follower at a time.
type Session struct{ conn *pgx.Conn }

// Session opens a session. The caller closes it.
func (f *Feed) Session(ctx context.Context) (*Session, error) {
	conn, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Session{conn: conn}, nil
}

// Close ends the session, at once if the database does not answer.
func (s *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // what it would tell is of no use any more
}

// Head returns the newest state's epoch and revision.
func (s *Session) Head(ctx context.Context) (registry.Head, error) {
	var h registry.Head
	if err := s.conn.QueryRow(ctx, headSQL).Scan(&h.Epoch, &h.Revision); err != nil {
		return h, fmt.Errorf("read the head: %w", translate(err))
	}
	return h, nil
}

// Load reads the whole registry as policy may see it, at one revision: one
// REPEATABLE READ transaction that reads the head first (invariant B4).
func (s *Session) Load(ctx context.Context) (registry.Facts, error) {
	var f registry.Facts
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.conn, options, func(tx pgx.Tx) error { return loadFacts(ctx, tx, &f) })
	if err != nil {
		return registry.Facts{}, fmt.Errorf("load the registry: %w", translate(err))
	}
	return f, nil
}

const changesSQL = `
	SELECT c.epoch, c.revision, c.kind, c.object_id, COALESCE(c.old_scope, ''), COALESCE(c.new_scope, ''), c.after, c.at
	FROM changes c
	WHERE c.epoch = $1 AND c.revision > $2
	ORDER BY c.revision
	LIMIT $3`

// Changes returns up to limit changes after since, in order. A change of the
// platform's policy comes with its modules.
func (s *Session) Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error) {
	rows, _ := s.conn.Query(ctx, changesSQL, since.Epoch, since.Revision, limit) // CollectRows returns the query's error
	changes, err := pgx.CollectRows(rows, scanChange)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", translate(err))
	}
	for _, c := range changes {
		if c.Policy == nil {
			continue
		}
		p, err := loadPolicy(ctx, s.conn, c.Policy.Hash)
		if err != nil {
			return nil, fmt.Errorf("read the platform policy: %w", translate(err))
		}
		c.Policy.Modules = p.Modules // the rest is as it was then
	}
	return changes, nil
}

// Listen has the session hear of new revisions. Only Wait may be called after it.
func (s *Session) Listen(ctx context.Context) error {
	if _, err := s.conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen for changes: %w", translate(err))
	}
	return nil
}

// Wait returns when a new revision was committed. A session that has died may
// not tell, so nobody should rely on Wait alone.
func (s *Session) Wait(ctx context.Context) error {
	if _, err := s.conn.WaitForNotification(ctx); err != nil {
		return fmt.Errorf("wait for changes: %w", translate(err))
	}
	return nil
}
