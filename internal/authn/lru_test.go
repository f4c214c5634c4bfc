package authn

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLRU_ForgetsWhatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	c := newLRU[string, int](3)
	for i, key := range []string{"a", "b", "c"} {
		c.put(key, i)
	}
	c.get("a")    // now b is the oldest
	c.put("b", 7) // now c is
	c.put("d", 3)
	got := map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(c.items)) {
		got[key], _ = c.get(key)
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 7, "d": 3}, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if c.order.Len() != len(c.items) {
		t.Errorf("%d items in order, %d by key", c.order.Len(), len(c.items))
	}
	if value, ok := c.get("c"); ok {
		t.Errorf("c is still there: %d", value)
	}
}
