package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
)

// A replica that freezes while it holds the head must not stop the others for
// longer than its session's timeouts (invariant F1).
func TestInvariant_F1_AFrozenTransactionLosesTheHead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	frozen, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = frozen.Rollback(t.Context()) }()
	if _, err := frozen.Exec(t.Context(), `UPDATE registry_head SET revision = revision + 1`); err != nil {
		t.Fatal(err)
	}
	// The other writer waits for the row; the server gives up on one of the two,
	// and whichever it is the registry stays writable without anybody's help.
	team := registry.Team{Name: "support", MaxAgents: 5}
	_, _, err = b.store.PutTeam(t.Context(), team, some, alice)
	if err != nil {
		if !errors.Is(err, registry.Unavailable) {
			t.Fatalf("PutTeam() behind a frozen transaction: error = %v, want Unavailable", err)
		}
		if e, ok := registry.AsError(err); !ok || e.RetryAfter <= 0 {
			t.Errorf("PutTeam() behind a frozen transaction: no RetryAfter in %v", err)
		}
		if _, _, err = b.store.PutTeam(t.Context(), team, some, alice); err != nil {
			t.Fatalf("PutTeam() afterwards: %v", err)
		}
	}
	if err := frozen.Commit(t.Context()); err == nil {
		t.Error("the frozen transaction committed; the server should have ended it")
	}
	if got := b.revision(t); got != 1 {
		t.Errorf("head = %d, want 1: one change of the team and none of the frozen transaction", got)
	}
}

func TestInvariant_F1_TheWritePoolSetsItsTimeouts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, want := range map[string]string{"lock_timeout": "2s", "idle_in_transaction_session_timeout": "2s", "transaction_timeout": "5s"} {
		if got := one[string](t, b, `SELECT current_setting($1)`, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

func TestADatabaseThatIsAwayIsUnavailableAndItsAddressIsNotTold(t *testing.T) {
	t.Parallel()
	const dsn = "postgres://credence:hunter2@127.0.0.1:1/credence"
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = postgres.NewStore(pool).Head(t.Context())
	if !errors.Is(err, registry.Unavailable) {
		t.Errorf("Head() error = %v, want Unavailable", err)
	}
	if contains(err, "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
	if _, err := postgres.Open(t.Context(), func() (string, error) { return "postgres://u:hunter2@[bad", nil }, 1); contains(err, "hunter2") || err == nil {
		t.Errorf("Open() of a bad URL: error = %v", err)
	}
}

// A password that was changed is used for new connections.
func TestOpenAsksForTheAddressAtEachConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := 0
	pool, err := postgres.Open(t.Context(), func() (string, error) { asked++; return b.dsn, nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	before := asked
	if err := pgx.BeginFunc(t.Context(), pool, func(pgx.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if asked <= before {
		t.Error("the address was not asked for when the connection was made")
	}
}
