package emulator

import (
	"slices"
	"sync"
	"time"
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

	// AuthMethod is the method of the token endpoint, "" when none is stated.
	AuthMethod string
	// Keys are the kids of the public keys that the client authenticates with,
	// Credentials how many it holds, in use or not.
	Keys        []string
	Credentials int
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
			AuthMethod: c.authMethod(),

			Credentials: len(c.credentials),
		}
		for _, id := range c.attached("private_key_jwt") {
			if k, ok := c.credential(id); ok {
				info.Keys = append(info.Keys, stringOf(k.doc["kid"]))
			}
		}
		for _, g := range e.grants.list(func(g *grant) bool { return g.clientID == c.id }) {
			info.Grants = append(info.Grants, GrantInfo{ID: g.id, Audience: g.audience, Scope: g.scope()})
		}
		infos = append(infos, info)
	}
	return infos
}

// authMethod is what the client states of how it authenticates.
func (c *client) authMethod() string {
	methods, _ := c.doc["client_authentication_methods"].(map[string]any)
	for method := range methods {
		return method // there is but one
	}
	return stringOf(c.doc["token_endpoint_auth_method"])
}

// Call is one answered request. Neither bodies nor headers are kept.
type Call struct {
	At     time.Time // when it came, by the emulator's clock
	Method string
	Path   string
	Status int

	// ClientID is the client that was made, read, changed or removed, or whose
	// grant was, or that got a token; "" where there is none. AgentID is the
	// agent_id in its metadata at that moment.
	ClientID string
	AgentID  string
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
