package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/migrations"
)

// Every migration must be reversible, and applicable again afterwards.
func TestMigrationsDownAndUp(t *testing.T) {
	t.Parallel()
	db := stdlib.OpenDBFromPool(testdb.New(t))
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatalf("down: %v", err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatalf("up again: %v", err)
	}
}

// Replicas start together: all of them may migrate, and each step runs once.
func TestMigrateRunsEachStepOnceWhateverTheNumberOfReplicas(t *testing.T) {
	t.Parallel()
	dsn := testdb.Empty(t)
	type result struct {
		taken []postgres.Migration
		err   error
	}
	results := make(chan result)
	const replicas = 3
	for range replicas {
		go func() {
			taken, err := postgres.Migrate(t.Context(), dsn)
			results <- result{taken, err}
		}()
	}
	times := map[int64]int{}
	for range replicas {
		r := <-results
		if r.err != nil {
			t.Errorf("Migrate() error = %v", r.err)
		}
		for _, m := range r.taken {
			times[m.Version]++
		}
	}
	if len(times) == 0 {
		t.Error("no migration ran")
	}
	for version, n := range times {
		if n != 1 {
			t.Errorf("migration %d ran %d times", version, n)
		}
	}
}

func TestCheckSchemaTellsAnUnmigratedDatabaseFromAMigratedOne(t *testing.T) {
	t.Parallel()
	migrated := postgres.NewStore(testdb.New(t))
	if err := migrated.CheckSchema(t.Context()); err != nil {
		t.Errorf("migrated: %v", err)
	}
	pool, err := postgres.Open(t.Context(), func() (string, error) { return testdb.Empty(t), nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.NewStore(pool).CheckSchema(t.Context()); !errors.Is(err, registry.Conflict) || !contains(err, "no schema; run credence migrate") {
		t.Errorf("CheckSchema() of an empty database = %v, want what to do", err)
	}
}

func TestCheckSchemaTellsAnOldSchemaFromAPresentOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 1`); err != nil {
		t.Fatal(err)
	}
	if err := b.store.CheckSchema(t.Context()); !errors.Is(err, registry.Conflict) || !contains(err, "at version 1 and this binary needs") {
		t.Errorf("CheckSchema() of an old schema = %v, want what to do", err)
	}
}

// A table that cannot be read is there: migrating would not help.
func TestCheckSchemaDoesNotTakeEveryFailureForAMissingSchema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.pool.Exec(t.Context(), `ALTER TABLE goose_db_version RENAME COLUMN version_id TO version`); err != nil {
		t.Fatal(err)
	}
	if err := b.store.CheckSchema(t.Context()); err == nil || contains(err, "no schema") {
		t.Errorf("CheckSchema() = %v, want the failure", err)
	}
}
