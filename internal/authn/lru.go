package authn

import (
	"container/list"
	"sync"
)

// lru is a bounded map that forgets what was not used for longest. It is safe
// for concurrent use.
type lru[K comparable, V any] struct {
	size int

	mu    sync.Mutex
	items map[K]*list.Element
	order list.List // of *lruItem[K, V], the most recently used first
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
}

// newLRU returns an empty map of at most size items.
func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, items: map[K]*list.Element{}}
}

func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[key]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*lruItem[K, V]).value, true
}

func (c *lru[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.items[key]; ok {
		element.Value.(*lruItem[K, V]).value = value
		c.order.MoveToFront(element)
		return
	}
	c.items[key] = c.order.PushFront(&lruItem[K, V]{key: key, value: value})
	if c.order.Len() > c.size {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.items, oldest.Value.(*lruItem[K, V]).key)
	}
}
