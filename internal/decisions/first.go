package decisions

import "slices"

// first keeps the n smallest of many items: it keeps few of them while it looks at
// all.
type first[T any] struct {
	n       int
	compare func(a, b T) int
	items   []T
	full    bool
	last    T // of the n smallest so far, once there were as many
}

func newFirst[T any](n int, compare func(a, b T) int) *first[T] {
	return &first[T]{n: n, compare: compare}
}

func (f *first[T]) add(item T) {
	if f.full && f.compare(item, f.last) > 0 {
		return
	}
	if f.items = append(f.items, item); len(f.items) == 2*f.n {
		f.items = f.sorted()
		f.last, f.full = f.items[f.n-1], true
	}
}

func (f *first[T]) sorted() []T {
	slices.SortFunc(f.items, f.compare)
	return f.items[:min(len(f.items), f.n)]
}
