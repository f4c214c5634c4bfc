package emulator

import (
	"slices"
	"sync"
)

// maxCalls is how many requests Calls remembers.
const maxCalls = 10_000

// ClientInfo describes a client for tests. It holds no secret.
type ClientInfo struct {
	ID         string
	Name       string
	Metadata   map[string]string
	GrantTypes []string
	Grants     []GrantInfo
}

// GrantInfo describes a client grant.
type GrantInfo struct {
	ID       string
	Audience string
	Scope    []string
}

// Clients returns the clients that were made over the Management API, oldest
// first. The bootstrap client is not among them.
func (e *Emulator) Clients() []ClientInfo {
	e.mu.RLock()
	defer e.mu.RUnlock()
	infos := []ClientInfo{}
	for _, c := range e.clients.list(func(c *client) bool { return !c.bootstrap }) {
		info := ClientInfo{
			ID:         c.id,
			Name:       stringOf(c.doc["name"]),
			Metadata:   c.metadata(),
			GrantTypes: c.grantTypes(),
		}
		for _, g := range e.grants.list(func(g *grant) bool { return g.clientID == c.id }) {
			info.Grants = append(info.Grants, GrantInfo{ID: g.id, Audience: g.audience, Scope: g.scope()})
		}
		infos = append(infos, info)
	}
	return infos
}

// Call is one answered request. Neither bodies nor headers are kept.
type Call struct {
	Method string
	Path   string
	Status int
}

// Calls returns the answered requests in the order in which they were answered.
// Only the newest 10,000 are kept.
func (e *Emulator) Calls() []Call { return e.calls.list() }

// callLog is a bounded ring of calls.
type callLog struct {
	mu    sync.Mutex
	calls []Call
	size  int
	next  int // where the oldest call lies once the ring is full
}

func newCallLog(size int) *callLog { return &callLog{size: size} }

func (l *callLog) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) < l.size {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[l.next] = c
	l.next = (l.next + 1) % l.size
}

func (l *callLog) list() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.calls[l.next:], l.calls[:l.next])
}
