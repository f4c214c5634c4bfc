package sweep_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// However many agents drift, a sweep that is told to stop looks at no other one.
func TestASweepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(numbered(450)...)
	for _, c := range w.clients {
		c.Metadata["team"] = "finance"
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	inspected := 0
	w.onInspect = func(string) {
		if inspected++; inspected == 10 {
			cancel()
		}
	}
	if err := w.sweepIn(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep() = %v, want that its context ended", err)
	}
	if inspected != 10 || len(w.repaired) != 9 {
		t.Errorf("%d agents were looked at and %d repaired, want 10 and the 9 before the end", inspected, len(w.repaired))
	}
}

// Invariant C6: what a removal came to is on record, though the sweep was cut
// short in its midst.
func TestInvariant_C6_ARemovalThatIsCutShortIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.orphan("orphan", true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.onDelete = cancel
	_ = w.sweepIn(ctx) // whether the rest still happens does not matter
	want := []string{"credence:sweep client.remove orphan intent 0", "credence:sweep client.remove orphan success 1"}
	if diff := cmp.Diff(want, w.audit); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}
