package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

func TestDriftIsKeptWhileItIsSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scopes := registry.Drift{
		Provider: "auth0", ObjectKind: "grant", ObjectID: "g-1", AgentID: uuid.NewString(), Field: "scopes", Expected: "a", Found: "a b",
		Action: registry.DriftRepairing,
	}
	name := registry.Drift{Provider: "auth0", ObjectKind: "client", ObjectID: "c-1", Field: "name", Expected: "x", Found: "y", Action: registry.DriftReported}
	record := func(seen ...registry.Drift) {
		t.Helper()
		if err := b.store.RecordDrift(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	drifts := func(after int64, limit int) ([]registry.DriftRecord, bool) {
		t.Helper()
		page, more, err := b.store.Drifts(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		return page, more
	}
	record()
	record(scopes, name, name)
	first, more := drifts(0, 2)
	want := []registry.DriftRecord{{Drift: scopes}, {Drift: name}}
	ignore := cmpopts.IgnoreFields(registry.DriftRecord{}, "ID", "FirstSeen", "LastSeen")
	if diff := cmp.Diff(want, first, ignore); diff != "" || more {
		t.Fatalf("Drifts() more %t (-want +got):\n%s", more, diff)
	}
	page, more := drifts(0, 1)
	rest, _ := drifts(page[0].ID, 9)
	wantEqual(t, "pages", first, append(page, rest...))
	if !more {
		t.Error("the first page does not tell of the second")
	}

	began := time.Now()
	name.Found, name.Action, name.AgentID = "z", registry.DriftRepairing, scopes.AgentID
	record(name)
	if n, err := b.store.ClearDrift(t.Context(), began); err != nil || n != 1 {
		t.Errorf("ClearDrift() = %d, %v; want the one that is not seen any more", n, err)
	}
	left, _ := drifts(0, 9)
	if diff := cmp.Diff([]registry.DriftRecord{{Drift: name}}, left, ignore); diff != "" {
		t.Fatalf("Drifts() (-want +got):\n%s", diff)
	}
	if left[0].ID != first[1].ID || !left[0].FirstSeen.Equal(first[1].FirstSeen) || !left[0].LastSeen.After(first[1].LastSeen) {
		t.Errorf("a drift that is seen again is %+v after %+v", left[0], first[1])
	}
}
