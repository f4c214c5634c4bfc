package resources_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
)

var (
	ana   = registry.Principal{Subject: "auth0|ana", Teams: []string{"platform"}}
	ben   = registry.Principal{Subject: "auth0|ben", Teams: []string{"customer-success"}}
	both  = registry.Principal{Subject: "auth0|eve", Teams: []string{"platform", "customer-success"}}
	admin = registry.Principal{Subject: "auth0|root", Permissions: []registry.Permission{registry.Admin}}

	some = registry.Precondition{} // allows all
)

// world is a service on a real database.
type world struct {
	t       *testing.T
	service *resources.Service
	store   *postgres.Store
	pool    *pgxpool.Pool
	dsn     string
}

// newWorld has two environments: production, which allows some hosts and reserves
// a name, and staging, which allows a network.
func newWorld(t *testing.T) *world {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{t: t, store: postgres.NewStore(pool), pool: pool, dsn: dsn}
	w.service = resources.NewService(w.store, unloaded{})
	w.putEnvironment(registry.Environment{
		Name: "production", AllowedEndpoints: []string{"*.skills.example.com:443", "127.0.0.0/8"}, ReservedNames: []string{"billing"},
	})
	w.putEnvironment(registry.Environment{Name: "staging", AllowedEndpoints: []string{"10.20.0.0/16"}})
	return w
}

func (w *world) putEnvironment(e registry.Environment) {
	w.t.Helper()
	e.Grants, e.MaxStaleness = "permissions", "15m"
	if _, _, err := w.store.PutEnvironment(w.t.Context(), e, some, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

// block has an admin block the team, or take that back.
func (w *world) block(team string, blocked bool) {
	w.t.Helper()
	if _, _, err := w.store.PutTeam(w.t.Context(), registry.Team{Name: team, MaxAgents: 1, Blocked: blocked}, some, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

// hello is a resource that the rules allow.
func hello() registry.Resource {
	return registry.Resource{
		Name: "hello-skill", Type: registry.Skill, Team: "platform", DataClassification: "low",
		Access:      registry.Access{Visibility: registry.VisibleToTeam},
		Deployments: deployed("production", "https://hello.skills.example.com", "staging", "http://10.20.0.7:8080"),
	}
}

func deployed(pairs ...string) map[string]registry.Deployment {
	all := map[string]registry.Deployment{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = registry.Deployment{Endpoint: pairs[i+1]}
	}
	return all
}

func (w *world) put(by registry.Principal, r registry.Resource) error {
	w.t.Helper()
	_, _, err := w.service.Put(w.t.Context(), by, r, some)
	return err
}

func (w *world) mustPut(by registry.Principal, r registry.Resource) registry.Resource {
	w.t.Helper()
	saved, _, err := w.service.Put(w.t.Context(), by, r, some)
	if err != nil {
		w.t.Fatalf("Put() = %v", err)
	}
	return saved
}

func (w *world) delete(by registry.Principal, name string) error {
	return w.service.Delete(w.t.Context(), by, name, some)
}

// wantError checks err's kind and code, and the pointers and codes of its faults.
func wantError(t *testing.T, err error, kind registry.Kind, code string, faults ...string) {
	t.Helper()
	e, ok := registry.AsError(err)
	if !ok || e.Kind != kind || e.Code != code {
		t.Errorf("the error is %v, want the kind %q with code %s", err, kind, code)
		return
	}
	var got []string
	for _, f := range e.Fields {
		got = append(got, f.Pointer+" "+f.Code)
	}
	if diff := cmp.Diff(faults, got); diff != "" {
		t.Errorf("faults of %v (-want +got):\n%s", err, diff)
	}
}

// unloaded is a snapshot before the first was loaded.
type unloaded struct{}

func (unloaded) View() *snapshot.View { return nil }

// follow returns a follower of the world's registry that has caught up.
func (w *world) follow() *snapshot.Follower {
	w.t.Helper()
	feed := postgres.NewFeed(func() (string, error) { return w.dsn, nil })
	follower := snapshot.NewFollower(snapshot.Options{
		Connect: func(ctx context.Context) (snapshot.Session, error) { return feed.Session(ctx) },
		Epochs:  w.store, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = follower.Run(ctx) })
	w.t.Cleanup(func() {
		stop()
		running.Wait()
	})
	w.catchUp(follower)
	return follower
}

func (w *world) catchUp(follower *snapshot.Follower) {
	w.t.Helper()
	head, err := w.store.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := follower.Changed()
		if v := follower.View(); v != nil && v.Head() == head {
			return
		}
		follower.Nudge()
		select {
		case <-changed:
		case <-ctx.Done():
			w.t.Fatalf("the follower has not come to %v", head)
		}
	}
}
