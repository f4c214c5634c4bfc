package e2e_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/local"
)

// TestAFrozenDatabaseIsADetail: every call that needs the registry answers 503
// in time, the process stays alive and in service, and all is well afterwards.
func TestAFrozenDatabaseIsADetail(t *testing.T) {
	t.Parallel()
	w := newLand(t)
	db := must(local.StartPostgres(t.Context(), local.PostgresOptions{Tools: must(local.FindTools(""))(t)}))(t)
	t.Cleanup(func() { _ = db.Stop() })
	if err := db.Exec(t.Context(), "CREATE DATABASE credence"); err != nil {
		t.Fatal(err)
	}
	w.dsn = db.DSN("credence")
	w.prepare()
	w.start()
	w.seed()
	dev, anybody := w.as(w.developer), w.as("")
	dev.register(registration("before", nil))

	thaw := freeze(t, w.dsn)
	var wg sync.WaitGroup
	for _, route := range []string{"GET /agents", "GET /agents/before", "POST /agents", "DELETE /agents/before", "GET /environments"} {
		wg.Go(func() {
			method, path := cut(route)
			got := w.try(method, path, registration("during", nil))
			if got.status != 503 || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s, want 503 and when to come back", route, got.status, got.body)
			}
		})
	}
	wg.Wait()
	anybody.get("/healthz").want(t, 200)
	if ready := readiness(anybody); !ready.Ready || databaseCheck(ready) {
		t.Errorf("readiness %+v, want ready and the database amiss", ready)
	}
	thaw()
	eventually(t, "the database is back", func() bool { return databaseCheck(readiness(anybody)) })
	dev.get("/agents/before").want(t, 200)
	dev.register(registration("during", nil))
	if n := len(w.tenant.Clients()); n != 2 {
		t.Errorf("%d clients, want 2", n)
	}
}

func databaseCheck(r api.Readiness) bool {
	for _, c := range r.Checks {
		if c.Name == "database" {
			return c.Ok
		}
	}
	return false
}

// freeze stops every process of the server, as a machine that hangs would, until
// the function it returns is called.
func freeze(t testing.TB, dsn string) (thaw func()) {
	t.Helper()
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	var file string
	err := conn.QueryRow(t.Context(), "SELECT pg_read_file('postmaster.pid')").Scan(&file)
	_ = conn.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(file, "\n")
	postmaster := must(strconv.Atoi(first))(t)
	all := append(descendants(t, postmaster), postmaster)
	thaw = func() {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(thaw)
	for _, pid := range all {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) { // a backend may have ended
			t.Fatal(err)
		}
	}
	return thaw
}
