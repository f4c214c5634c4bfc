package jobs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/reconcile/jobs"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

// log is a buffer that several goroutines may write to.
type log struct {
	mu    sync.Mutex
	b     bytes.Buffer
	lines chan string
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.lines <- string(p):
	default:
	}
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// observed collects how runs ended.
type observed chan error

func (o observed) ObserveJob(_ string, _ time.Duration, err error) { o <- err }

// replica is a Runner on a database.
type replica struct {
	log  *log
	ends observed
	tell func() // tells it to stop
	stop func() // and waits until it has
}

// start runs jobs on the database at dsn until the test ends.
func start(t *testing.T, dsn string, list ...jobs.Job) *replica {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{log: &log{lines: make(chan string, 100)}, ends: make(observed, 1000)}
	runner, err := jobs.NewRunner(jobs.Options{
		Pool: pool, Jobs: list, Observer: r.ends, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.tell = cancel
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run() goes on after it was told to stop")
		}
		pool.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// migrated is the address of a database with River's tables.
func migrated(t *testing.T) string {
	t.Helper()
	dsn := testdb.DSN(t)
	if _, err := jobs.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("waited half a minute for %s", what)
		panic("unreachable")
	}
}

func query[T any](t *testing.T, dsn, sql string) T {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var v T
	if err := pool.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReplicasMigrateTogetherAndOnce(t *testing.T) {
	t.Parallel()
	dsn := testdb.DSN(t)
	var steps atomic.Int64
	var g sync.WaitGroup
	for range 5 {
		g.Go(func() {
			n, err := jobs.Migrate(t.Context(), dsn)
			if err != nil {
				t.Errorf("Migrate() = %v", err)
			}
			steps.Add(int64(n))
		})
	}
	g.Wait()
	want := query[int64](t, dsn, "SELECT count(*) FROM river.river_migration")
	if got := steps.Load(); want == 0 || got != want {
		t.Errorf("five replicas took %d steps, want the %d there are", got, want)
	}
	if n := query[int64](t, dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'river%'"); n != 0 {
		t.Errorf("%d tables are outside River's schema", n)
	}
}

func TestMigrateTellsNoPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://root:hunter2@127.0.0.1:port/db", "postgres://root:hunter2@127.0.0.1:1/db?connect_timeout=1"} {
		if _, err := jobs.Migrate(t.Context(), dsn); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Migrate() = %v, want an error without the password", err)
		}
	}
}

// One of the replicas does it, once a period, whoever leads.
func TestAJobIsDoneOnceAPeriod(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	var hourly, often atomic.Int64
	beats := make(chan string, 1000)
	work := func(name string) []jobs.Job {
		return []jobs.Job{
			{Name: "hourly", Every: 1000 * time.Hour, Do: func(context.Context) error { hourly.Add(1); return nil }},
			{Name: "often", Every: time.Second, Do: func(context.Context) error { often.Add(1); beats <- name; return nil }},
		}
	}
	first := start(t, dsn, work("first")...)
	await(t, "the first run", beats)
	second := start(t, dsn, work("second")...)
	for range 2 {
		await(t, "a run while both live", beats)
	}
	first.stop()
	for await(t, "a run of the second replica, which leads now", beats) != "second" {
		continue
	}
	await(t, "another one", beats)
	second.stop()
	if n := hourly.Load(); n != 1 {
		t.Errorf("the job of a thousand hours was done %d times, want once", n)
	}
}

// Invariant D2: a row of River's holds nothing that a provider said, and nothing
// that somebody panicked with.
func TestInvariant_D2_NoSecretReachesARowOfRivers(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	secret := "hvs.CAESIJlaN0tForRows"
	r := start(t, dsn,
		jobs.Job{Name: "refused", Every: time.Hour, Do: func(context.Context) error {
			return fmt.Errorf("sweep: %w", registry.Unavailable.Wrap(errors.New(secret), "secret_store_unavailable", "the secret store is away"))
		}},
		jobs.Job{Name: "strange", Every: time.Hour, Do: func(context.Context) error { return errors.New(secret) }},
		jobs.Job{Name: "panicking", Every: time.Hour, Do: func(context.Context) error { panic(secret) }},
	)
	for range 3 {
		if err := await(t, "a run", r.ends); err == nil {
			t.Error("a failed run was observed as a good one")
		}
	}
	r.stop()
	const failed = "SELECT COALESCE(string_agg(args::text || errors::text, chr(10) ORDER BY id), '') FROM river.river_job WHERE state = 'discarded'"
	rows := query[string](t, dsn, failed)
	for _, want := range []string{"the secret store is away", "an internal error", `{"job": "panicking"}`} {
		if !strings.Contains(rows, want) {
			t.Errorf("the rows lack %q", want)
		}
	}
	if strings.Contains(rows, secret) {
		t.Errorf("the rows hold the secret:\n%s", rows)
	}
	if n := strings.Count(r.log.String(), "a periodic job failed"); n != 3 {
		t.Errorf("the log tells of %d failed runs, want 3:\n%s", n, r.log)
	}
	if strings.Contains(r.log.String(), "panic="+secret) || !strings.Contains(r.log.String(), "panic: string") {
		t.Errorf("the log is not about the panic, or quotes it:\n%s", r.log)
	}
}

func TestARunThatFailedIsTriedAgainInThePeriod(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	r := start(t, dsn, jobs.Job{Name: "failing", Every: time.Hour, Attempts: 3, Do: func(context.Context) error { return errors.New("away") }})
	if err := await(t, "a run", r.ends); err == nil {
		t.Error("a failed run was observed as a good one")
	}
	r.stop()
	const in = "SELECT state || ' ' || attempt || ' ' || (scheduled_at BETWEEN now() + '10 s' AND now() + '31 s') FROM river.river_job"
	if got := query[string](t, dsn, in); got != "retryable 1 true" {
		t.Errorf("the job is %q, want it to be tried again within half a minute", got)
	}
}

// A sweep takes as long as it takes, and whoever stops a process does not wait for
// it. It is there for the next replica at once, with all its attempts.
func TestWhenToldToStopARunIsCutShortAndLeftToAnother(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	begun := make(chan struct{}, 10)
	long := jobs.Job{Name: "long", Every: time.Hour, Timeout: time.Hour, Do: func(ctx context.Context) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	r := start(t, dsn, long)
	await(t, "the run", begun)
	r.stop()
	if err := await(t, "its end", r.ends); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v, want that its context was cancelled", err)
	}
	if got := query[string](t, dsn, "SELECT state || ' ' || attempt || ' ' || (errors IS NULL) FROM river.river_job"); got != "available 0 true" {
		t.Errorf("the job is %q, want that any replica can begin it anew", got)
	}
	start(t, dsn, long)
	await(t, "the run of another replica", begun)
}

func TestARunIsCutShortAfterItsTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, migrated(t), jobs.Job{Name: "long", Every: time.Hour, Timeout: 50 * time.Millisecond, Do: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	if err := await(t, "its end", r.ends); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the run ended with %v, want its timeout", err)
	}
}

func TestADatabaseThatIsNotMigratedIsWaitedFor(t *testing.T) {
	t.Parallel()
	dsn := testdb.DSN(t)
	r := start(t, dsn, jobs.Job{Name: "hello", Every: time.Hour, Do: func(context.Context) error { return nil }})
	if line := await(t, "the log", r.log.lines); !strings.Contains(line, "run credence migrate") {
		t.Errorf("the log says %s", line)
	}
	if _, err := jobs.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if err := await(t, "a run", r.ends); err != nil {
		t.Errorf("the run ended with %v", err)
	}
	if n := strings.Count(r.log.String(), "\n"); n != 1 {
		t.Errorf("it told %d times that it waits, want once:\n%s", n, r.log)
	}
}

// The server's role owns nothing, and may not even read what it does not need.
func TestTheServersRoleMayRunJobs(t *testing.T) {
	t.Parallel()
	dsn := migrated(t)
	role := "server_" + strings.ToLower(rand.Text())
	execute(t, dsn, "CREATE ROLE "+role+" LOGIN PASSWORD 'hunter2'")
	t.Cleanup(func() { execute(t, dsn, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	for range 2 { // after each migration
		if err := jobs.GrantServer(t.Context(), dsn, role); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "hunter2")
	r := start(t, u.String(), jobs.Job{Name: "often", Every: time.Second, Do: func(context.Context) error { return nil }})
	for range 3 {
		if err := await(t, "a run", r.ends); err != nil {
			t.Errorf("the run ended with %v", err)
		}
	}
	r.stop()
	if log := r.log.String(); log != "" {
		t.Errorf("River complains:\n%s", log)
	}
	const may = "SELECT has_table_privilege($1, 'river.river_migration', 'DELETE')"
	if query[bool](t, dsn, strings.ReplaceAll(may, "$1", "'"+role+"'")) {
		t.Error("the role may forget migrations")
	}
}

func TestGrantsFailForARoleThatIsNotThere(t *testing.T) {
	t.Parallel()
	if err := jobs.GrantServer(t.Context(), migrated(t), `nobody"; DROP SCHEMA river CASCADE; --`); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("GrantServer() = %v", err)
	}
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err == nil {
		_, err = conn.Exec(context.Background(), sql)
		err = errors.Join(err, conn.Close(context.Background()))
	}
	if err != nil {
		t.Error(err)
	}
}

func TestUnusableJobs(t *testing.T) {
	t.Parallel()
	do := func(context.Context) error { return nil }
	for name, list := range map[string][]jobs.Job{
		"no name":       {{Every: time.Hour, Do: do}},
		"no period":     {{Name: "a", Do: do}},
		"nothing to do": {{Name: "a", Every: time.Hour}},
		"twice":         {{Name: "a", Every: time.Hour, Do: do}, {Name: "a", Every: time.Hour, Do: do}},
	} {
		if _, err := jobs.NewRunner(jobs.Options{Jobs: list}); err == nil {
			t.Errorf("%s: NewRunner() = nil", name)
		}
	}
}
