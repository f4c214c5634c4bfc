package resources_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
)

func TestPutCreatesAndReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, created, err := w.service.Put(t.Context(), ana, hello(), registry.Precondition{IfNoneMatch: &registry.Tags{Any: true}})
	if err != nil || !created {
		t.Fatalf("Put() = created %t, error %v", created, err)
	}
	changed := hello()
	changed.Access.Visibility = registry.VisibleToOrganization
	second, created, err := w.service.Put(t.Context(), ana, changed, registry.Precondition{IfMatch: &registry.Tags{List: []string{first.Tag()}}})
	if err != nil || created {
		t.Fatalf("Put() = created %t, error %v", created, err)
	}
	if _, _, err := w.service.Put(t.Context(), ana, hello(), registry.Precondition{IfMatch: &registry.Tags{List: []string{first.Tag()}}}); !errors.Is(err, registry.PreconditionFailed) {
		t.Errorf("Put() with the state before = %v, want PreconditionFailed", err)
	}
	got, err := w.service.Get(t.Context(), "hello-skill")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got); diff != "" {
		t.Errorf("Get() differs from what Put() returned (-put +got):\n%s", diff)
	}
}

func TestOnlyTheOwnersTeamWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantError(t, w.put(ben, hello()), registry.Forbidden, "team_not_allowed", "/team team_not_allowed")
	w.mustPut(ana, hello())

	stolen := hello()
	stolen.Team = "customer-success"
	wantError(t, w.put(ben, hello()), registry.Forbidden, "team_not_allowed", "/team team_not_allowed")
	wantError(t, w.put(ben, stolen), registry.Forbidden, "team_not_allowed")
	wantError(t, w.put(ana, stolen), registry.Forbidden, "team_not_allowed", "/team team_not_allowed")
	wantError(t, w.delete(ben, "hello-skill"), registry.Forbidden, "team_not_allowed")

	// Who is in both may hand it over; then the team before may not write any more.
	w.mustPut(both, stolen)
	wantError(t, w.put(ana, hello()), registry.Forbidden, "team_not_allowed")
	wantError(t, w.delete(ana, "hello-skill"), registry.Forbidden, "team_not_allowed")
	w.mustPut(admin, hello())
	if err := w.delete(ana, "hello-skill"); err != nil {
		t.Errorf("Delete() by the owner = %v", err)
	}
	wantError(t, w.delete(ana, "hello-skill"), registry.NotFound, "not_found")
}

func TestABlockedTeamChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustPut(ana, hello())
	w.block("platform", true)
	fresh, handedOver := hello(), hello()
	fresh.Name, handedOver.Team = "fresh", "customer-success"
	for name, err := range map[string]error{
		"create": w.put(ana, fresh), "replace": w.put(ana, hello()), "hand over": w.put(both, handedOver), "delete": w.delete(ana, "hello-skill"),
		"create by an admin": w.put(admin, fresh), // nobody gives a blocked team anything
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, err, registry.Forbidden, "team_blocked")
		})
	}
	w.mustPut(admin, handedOver) // an admin cleans up
	w.block("customer-success", true)
	if err := w.delete(admin, "hello-skill"); err != nil {
		t.Errorf("Delete() by an admin = %v", err)
	}
	w.block("platform", false)
	w.mustPut(ana, hello())
}

func TestInvariant_A7_ReservedNamesAreForAdmins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	billing := hello()
	billing.Name, billing.Deployments = "billing", deployed("staging", "http://10.20.0.7") // reserved in another environment
	wantError(t, w.put(ana, billing), registry.Forbidden, "name_reserved")
	wantError(t, w.delete(ana, "billing"), registry.Forbidden, "name_reserved") // whether or not it is there
	w.mustPut(admin, billing)
	billing.Description = "changed"
	wantError(t, w.put(ana, billing), registry.Forbidden, "name_reserved")
	wantError(t, w.delete(ana, "billing"), registry.Forbidden, "name_reserved")
	w.mustPut(admin, billing)
	if err := w.delete(admin, "billing"); err != nil {
		t.Errorf("Delete() by an admin = %v", err)
	}

	w.mustPut(ana, hello())
	w.putEnvironment(registry.Environment{Name: "later", ReservedNames: []string{"hello-skill"}})
	wantError(t, w.put(ana, hello()), registry.Forbidden, "name_reserved")
	wantError(t, w.delete(ana, "hello-skill"), registry.Forbidden, "name_reserved")
}

// Reserving counts in every environment, also when there are more than one page.
func TestInvariant_A7_NoEnvironmentIsOverlooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 199 { // with the two of the world, one page and one more
		w.putEnvironment(registry.Environment{Name: fmt.Sprintf("a%03d", i)})
	}
	w.putEnvironment(registry.Environment{Name: "zone", ReservedNames: []string{"hello-skill"}, AllowedEndpoints: []string{"h:80"}})
	wantError(t, w.put(ana, hello()), registry.Forbidden, "name_reserved")
	last := hello()
	last.Name, last.Deployments = "last", deployed("zone", "http://h")
	w.mustPut(ana, last)
}

func TestInvariant_A7_EveryDeploymentIsJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		deployments map[string]registry.Deployment
		kind        registry.Kind
		code        string
		faults      []string
	}{
		{deployed(), "", "", nil},
		{deployed("production", "https://a.skills.example.com/v1"), "", "", nil},
		{deployed("production", "http://127.0.0.1:9000"), "", "", nil},
		{deployed("production", "https://a.example.com"), registry.Forbidden, "endpoint_not_allowed", []string{"/deployments/production/endpoint endpoint_not_allowed"}},
		{deployed("production", "http://a.skills.example.com"), registry.Forbidden, "endpoint_not_allowed", []string{"/deployments/production/endpoint endpoint_not_allowed"}},
		{deployed("production", "http://10.20.0.7", "staging", "http://10.20.0.7"), registry.Forbidden, "endpoint_not_allowed",
			[]string{"/deployments/production/endpoint endpoint_not_allowed"}}, // what another environment allows does not count
		{deployed("production", "https://evil.example", "staging", "http://169.254.169.254"), registry.Forbidden, "endpoint_not_allowed",
			[]string{"/deployments/production/endpoint endpoint_not_allowed", "/deployments/staging/endpoint endpoint_not_allowed"}},
		{deployed("staging", "http://2130706433"), registry.Invalid, "invalid_resource", []string{"/deployments/staging/endpoint invalid_endpoint"}},
		{deployed("nowhere", "https://a.skills.example.com"), registry.Invalid, "invalid_resource", []string{"/deployments/nowhere unknown_environment"}},
		{deployed("nowhere", "ftp://h", "production", "https://evil.example", "staging", "https://u@h"), registry.Invalid, "invalid_resource",
			[]string{"/deployments/nowhere/endpoint invalid_endpoint", "/deployments/nowhere unknown_environment", "/deployments/staging/endpoint invalid_endpoint"}},
	} {
		r := hello()
		r.Deployments = tt.deployments
		for _, by := range []registry.Principal{ana, admin} { // the list is changed, not passed by
			err := w.put(by, r)
			if tt.kind != "" {
				wantError(t, err, tt.kind, tt.code, tt.faults...)
			} else if err != nil {
				t.Errorf("Put() with %v = %v", tt.deployments, err)
			}
		}
	}
}

func TestANarrowedListHoldsForTheNextWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustPut(ana, hello())
	w.putEnvironment(registry.Environment{Name: "staging"})
	wantError(t, w.put(ana, hello()), registry.Forbidden, "endpoint_not_allowed", "/deployments/staging/endpoint endpoint_not_allowed")
}

// betweenStore runs a step between a judgement and its write, as other callers may.
type betweenStore struct {
	*postgres.Store
	before func(write int)
	writes int
}

func (s *betweenStore) PutResource(ctx context.Context, r registry.Resource, pre registry.Precondition, j registry.Judgement, by registry.Actor) (registry.Resource, bool, error) {
	s.writes++
	s.before(s.writes)
	return s.Store.PutResource(ctx, r, pre, j, by)
}

func (s *betweenStore) DeleteResource(ctx context.Context, name string, pre registry.Precondition, j registry.Judgement, by registry.Actor) error {
	s.writes++
	s.before(s.writes)
	return s.Store.DeleteResource(ctx, name, pre, j, by)
}

func TestWhatChangesUnderAWriteIsJudgedAnew(t *testing.T) {
	t.Parallel()
	other := hello()
	other.Team = "customer-success"
	for _, tt := range []struct {
		name   string
		by     registry.Principal
		before func(w *world)
		kind   registry.Kind // of the PUT; "" is none
		code   string
		faults []string
	}{
		{"an environment is deleted", ana, func(w *world) {
			if err := w.store.DeleteEnvironment(t.Context(), "staging", some, registry.Actor{}); err != nil {
				t.Error(err)
			}
		}, registry.Invalid, "invalid_resource", []string{"/deployments/staging unknown_environment"}},
		{"an environment's list is narrowed", ana, func(w *world) {
			w.putEnvironment(registry.Environment{Name: "staging", AllowedEndpoints: []string{"10.30.0.0/16"}})
		}, registry.Forbidden, "endpoint_not_allowed", []string{"/deployments/staging/endpoint endpoint_not_allowed"}},
		{"an environment that is new reserves the name", ana, func(w *world) {
			w.putEnvironment(registry.Environment{Name: "another", ReservedNames: []string{"hello-skill"}})
		}, registry.Forbidden, "name_reserved", nil},
		{"the team is blocked", ana, func(w *world) { w.block("platform", true) }, registry.Forbidden, "team_blocked", nil},
		{"an environment's list is widened", ana, func(w *world) {
			w.putEnvironment(registry.Environment{Name: "staging", AllowedEndpoints: []string{"10.0.0.0/8"}})
		}, "", "", nil},
		{"somebody else takes the name", ana, func(w *world) { w.mustPut(ben, other) }, registry.Forbidden, "team_not_allowed", nil},
		{"a team of the caller's takes the name", both, func(w *world) { w.mustPut(ben, other) }, "", "", nil},
		{"a team of the caller's that is blocked takes the name", both, func(w *world) {
			w.mustPut(ben, other)
			w.block("customer-success", true)
		}, registry.Forbidden, "team_blocked", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			between := &betweenStore{Store: w.store, before: func(write int) {
				if write == 1 {
					tt.before(w)
				}
			}}
			_, _, err := resources.NewService(between, unloaded{}).Put(t.Context(), tt.by, hello(), some)
			if tt.kind != "" {
				wantError(t, err, tt.kind, tt.code, tt.faults...)
			} else if err != nil || between.writes != 2 {
				t.Errorf("Put() = %v after %d writes, want none after 2", err, between.writes)
			}
		})
	}
}

func TestWhatChangesUnderADeletionIsJudgedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustPut(ana, hello())
	between := &betweenStore{Store: w.store, before: func(write int) {
		if write == 1 {
			w.putEnvironment(registry.Environment{Name: "another", ReservedNames: []string{"hello-skill"}})
		}
	}}
	err := resources.NewService(between, unloaded{}).Delete(t.Context(), ana, "hello-skill", some)
	wantError(t, err, registry.Forbidden, "name_reserved")
}

func TestARuleThatKeepsChangingEndsInAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, theirs := hello(), hello()
	theirs.Team = "customer-success"
	w.mustPut(admin, mine)
	between := &betweenStore{Store: w.store}
	between.before = func(write int) {
		owner := mine
		if write%2 == 1 {
			owner = theirs
		}
		w.mustPut(admin, owner)
	}
	service := resources.NewService(between, unloaded{})
	err := service.Delete(t.Context(), both, "hello-skill", some)
	wantError(t, err, registry.Conflict, "rules_changed")
	if between.writes != 5 {
		t.Errorf("gave up after %d attempts, want 5", between.writes)
	}
	between.before = func(int) {}
	if err := service.Delete(t.Context(), both, "hello-skill", some); err != nil {
		t.Errorf("Delete() in peace = %v", err)
	}
}

func TestOddNamesAreNotFound(t *testing.T) {
	t.Parallel()
	service := resources.NewService(nil, unloaded{}) // nothing is asked
	for _, name := range []string{"", "A", "a\x00", "../a", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"} {
		if _, err := service.Get(t.Context(), name); !errors.Is(err, registry.NotFound) {
			t.Errorf("Get(%q) = %v, want NotFound", name, err)
		}
		if err := service.Delete(t.Context(), admin, name, some); !errors.Is(err, registry.NotFound) {
			t.Errorf("Delete(%q) = %v, want NotFound", name, err)
		}
	}
}

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"c", "a", "b"} {
		r := hello()
		r.Name = name
		w.mustPut(ana, r)
	}
	for _, tt := range []struct {
		filter registry.ResourceFilter
		names  []string
		next   string
	}{
		{registry.ResourceFilter{Limit: 2}, []string{"a", "b"}, "b"},
		{registry.ResourceFilter{Limit: 2, After: "b"}, []string{"c"}, ""},
		{registry.ResourceFilter{Limit: 3}, []string{"a", "b", "c"}, ""},
		{registry.ResourceFilter{Limit: 3, Team: "nobody"}, nil, ""},
	} {
		found, next, err := w.service.List(t.Context(), tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range found {
			names = append(names, r.Name)
		}
		if diff := cmp.Diff(tt.names, names); diff != "" || next != tt.next {
			t.Errorf("List(%+v): next %q, want %q; names (-want +got):\n%s", tt.filter, next, tt.next, diff)
		}
	}
}
