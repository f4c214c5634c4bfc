package schema

import (
	"fmt"
	"sync"
	"testing"
)

// source is a schema of n subschemas; those with other tags differ.
func source(tag string, n int) []byte {
	s := fmt.Sprintf(`{"$comment":%q,"allOf":[true`, tag)
	for range n - 2 {
		s += `,true`
	}
	return []byte(s + `]}`)
}

func TestCacheCompilesOnce(t *testing.T) {
	t.Parallel()
	c := newCache(100)
	got := make([]*Compiled, 20)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			schema, err := c.compile(source("a", 3))
			if err != nil {
				t.Error(err)
			}
			got[i] = schema
		})
	}
	all.Wait()
	for _, schema := range got {
		if schema != got[0] {
			t.Fatal("the same text was compiled twice")
		}
	}
}

func TestCacheForgetsWhatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	c := newCache(10)
	compile := func(tag string, n int) *Compiled {
		t.Helper()
		schema, err := c.compile(source(tag, n))
		if err != nil {
			t.Fatal(err)
		}
		return schema
	}
	a, b := compile("a", 4), compile("b", 4)
	if compile("a", 4) != a {
		t.Error("a was compiled again")
	}
	compile("c", 4) // 12 subschemas are too many, and b was not used since
	if compile("a", 4) != a {
		t.Error("a was forgotten, although it was used")
	}
	if compile("b", 4) == b {
		t.Error("b was kept beyond the bound")
	}
	if c.weight > 10 || c.order.Len() != len(c.entries) {
		t.Errorf("cache weighs %d with %d of %d entries, want at most 10", c.weight, c.order.Len(), len(c.entries))
	}
	compile("large", 50)
	if c.order.Len() != 1 {
		t.Errorf("cache has %d entries beside one that is over the bound, want 1", c.order.Len())
	}
}

func TestCacheRemembersNoFaults(t *testing.T) {
	t.Parallel()
	c := newCache(10)
	if _, err := c.compile([]byte(`{"$ref":"#"}`)); err == nil {
		t.Fatal("compile = nil, want an error")
	}
	if c.order.Len() != 0 {
		t.Errorf("cache has %d entries, want 0", c.order.Len())
	}
}
