package snapshot

import (
	"crypto/sha256"
	"iter"
	"maps"
)

// Shards is how many shards a map has. Policy finds a key's shard in the same
// way (ShardOf), so the number is part of the data layout.
const Shards = 256

// ShardOf is the shard of a key: the first byte of its SHA-256.
func ShardOf(key string) int {
	sum := sha256.Sum256([]byte(key))
	return int(sum[0])
}

// Shard is one part of a Map. It never changes; that two views have the same
// Shard says that nothing in it changed between them.
type Shard[V any] struct{ entries map[string]V }

// Len is how many entries the shard has. A nil shard has none.
func (s *Shard[V]) Len() int {
	if s == nil {
		return 0
	}
	return len(s.entries)
}

// All yields the entries of the shard, in no order.
func (s *Shard[V]) All() iter.Seq2[string, V] {
	if s == nil {
		return func(func(string, V) bool) {}
	}
	return maps.All(s.entries)
}

// Map is an immutable map in shards: a changed Map shares all shards but one
// with the Map before it. The zero Map is empty. It is safe for concurrent use.
type Map[V any] struct {
	shards [Shards]*Shard[V]
	n      int
}

// Get returns the value of key.
func (m *Map[V]) Get(key string) (V, bool) {
	if s := m.shards[ShardOf(key)]; s != nil {
		v, ok := s.entries[key]
		return v, ok
	}
	var zero V
	return zero, false
}

// Len is how many entries the map has.
func (m *Map[V]) Len() int { return m.n }

// Shard returns shard i, which may be nil.
func (m *Map[V]) Shard(i int) *Shard[V] { return m.shards[i] }

// All yields all entries, in no order.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, s := range m.shards {
			for k, v := range s.All() {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// With returns the map in which key has the value v.
func (m *Map[V]) With(key string, v V) *Map[V] {
	return m.change(key, func(entries map[string]V) { entries[key] = v })
}

// Without returns the map that lacks key.
func (m *Map[V]) Without(key string) *Map[V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	return m.change(key, func(entries map[string]V) { delete(entries, key) })
}

func (m *Map[V]) change(key string, f func(map[string]V)) *Map[V] {
	next := *m
	i := ShardOf(key)
	entries := map[string]V{}
	if s := m.shards[i]; s != nil {
		entries = maps.Clone(s.entries)
	}
	before := len(entries)
	f(entries)
	next.n += len(entries) - before
	next.shards[i] = &Shard[V]{entries: entries}
	return &next
}

// build makes a Map of many entries at once.
func build[V any](entries iter.Seq2[string, V]) *Map[V] {
	m := &Map[V]{}
	for k, v := range entries {
		i := ShardOf(k)
		if m.shards[i] == nil {
			m.shards[i] = &Shard[V]{entries: map[string]V{}}
		}
		before := len(m.shards[i].entries)
		m.shards[i].entries[k] = v
		m.n += len(m.shards[i].entries) - before
	}
	return m
}
