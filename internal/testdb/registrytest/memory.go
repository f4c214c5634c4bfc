package registrytest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Memory is a registry in memory that followers can connect to, for tests in
// virtual time. Its faults are those of a database: away, silent, deaf. It is
// safe for concurrent use; its fields are for Do.
type Memory struct {
	mu        sync.Mutex
	listening []chan struct{} // each holds one notification

	Model   *Model
	Changes []registry.Change
	Renewed int           // how often its epoch was
	Away    bool          // refuses connections, and breaks those that there are
	Deaf    bool          // tells nobody of changes
	Silent  chan struct{} // set: answers nothing until it is closed
}

// NewMemory returns a registry that has the environment production, at revision
// 1 of the epoch e1.
func NewMemory() *Memory {
	m := &Memory{Model: NewModel("e1")}
	m.Change(func(m *Model) registry.Change {
		return m.PutEnvironment(registry.EnvironmentFacts{Name: "production", Grants: "permissions", MaxStaleness: "15m"})
	})
	return m
}

// Do reads or changes the registry past its changes, or its faults.
func (m *Memory) Do(f func(*Memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// Change commits the change that f makes, and tells whoever listens.
func (m *Memory) Change(f func(*Model) registry.Change) registry.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Changes = append(m.Changes, f(m.Model))
	if !m.Deaf {
		for _, l := range m.listening {
			select {
			case l <- struct{}{}:
			default:
			}
		}
	}
	return m.Model.Head()
}

// Head is the newest state.
func (m *Memory) Head() registry.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Model.Head()
}

// Connect opens a session, as snapshot.Options wants it.
func (m *Memory) Connect(ctx context.Context) (snapshot.Session, error) {
	s := memorySession{m, make(chan struct{}, 1)}
	if _, err := answer(ctx, m, func() (struct{}, error) { return struct{}{}, nil }); err != nil {
		return nil, err
	}
	return s, nil
}

// answer answers as a database in its present state does.
func answer[T any](ctx context.Context, m *Memory, f func() (T, error)) (T, error) {
	m.mu.Lock()
	silent := m.Silent
	m.mu.Unlock()
	var none T
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Away {
		return none, errors.New("connection refused")
	}
	return f()
}

// RenewEpoch is that of the store.
func (m *Memory) RenewEpoch(ctx context.Context, old, epoch string, _ registry.Actor) (registry.Head, error) {
	return answer(ctx, m, func() (registry.Head, error) {
		h := m.Model.Head()
		if h.Epoch == old {
			h.Epoch = epoch
			m.Model.SetHead(h)
			m.Renewed++
		}
		return h, nil
	})
}

type memorySession struct {
	m    *Memory
	told chan struct{}
}

func (s memorySession) Head(ctx context.Context) (registry.Head, error) {
	return answer(ctx, s.m, func() (registry.Head, error) { return s.m.Model.Head(), nil })
}

func (s memorySession) Load(ctx context.Context) (registry.Facts, error) {
	return answer(ctx, s.m, func() (registry.Facts, error) { return s.m.Model.Facts(), nil })
}

func (s memorySession) Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error) {
	return answer(ctx, s.m, func() ([]registry.Change, error) {
		var after []registry.Change
		for _, c := range s.m.Changes {
			if c.Epoch == since.Epoch && c.Revision > since.Revision && len(after) < limit {
				after = append(after, c)
			}
		}
		return after, nil
	})
}

func (s memorySession) Listen(ctx context.Context) error {
	_, err := answer(ctx, s.m, func() (struct{}, error) {
		s.m.listening = append(s.m.listening, s.told)
		return struct{}{}, nil
	})
	return err
}

func (s memorySession) Wait(ctx context.Context) error {
	select {
	case <-s.told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s memorySession) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.listening = slices.DeleteFunc(s.m.listening, func(l chan struct{}) bool { return l == s.told })
}
