package schema

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"golang.org/x/sync/singleflight"
)

// cacheWeight is how many subschemas the cached schemas may have together; one
// takes about a kilobyte.
const cacheWeight = 32_768

// cache keeps compiled schemas by the hash of their text, and forgets the one
// that was not used for longest. It is safe for concurrent use.
type cache struct {
	flights singleflight.Group // a schema is compiled once, however many ask for it

	mu      sync.Mutex
	most    int
	weight  int
	order   *list.List // of *cached, the newest in front
	entries map[[sha256.Size]byte]*list.Element
}

type cached struct {
	key    [sha256.Size]byte
	schema *Compiled
}

func newCache(most int) *cache {
	return &cache{most: most, order: list.New(), entries: map[[sha256.Size]byte]*list.Element{}}
}

// compile is CompileUntrusted, remembered.
func (c *cache) compile(source []byte) (*Compiled, error) {
	key := sha256.Sum256(source)
	if schema, ok := c.get(key); ok {
		return schema, nil
	}
	schema, err, _ := c.flights.Do(string(key[:]), func() (any, error) {
		schema, err := CompileUntrusted(source)
		if err == nil {
			c.put(key, schema)
		}
		return schema, err
	})
	if err != nil {
		return nil, err
	}
	return schema.(*Compiled), nil
}

func (c *cache) get(key [sha256.Size]byte) (*Compiled, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*cached).schema, true
}

func (c *cache) put(key [sha256.Size]byte, schema *Compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		return // compiled by the flight before
	}
	c.entries[key] = c.order.PushFront(&cached{key: key, schema: schema})
	c.weight += schema.subschemas
	for c.weight > c.most && c.order.Len() > 1 {
		oldest := c.order.Remove(c.order.Back()).(*cached)
		delete(c.entries, oldest.key)
		c.weight -= oldest.schema.subschemas
	}
}
