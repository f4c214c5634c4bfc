package vault

import (
	"context"
	"fmt"
	"sync"
)

// session is the present login: Run sets its token, calls wait for it. It is
// safe for concurrent use.
type session struct {
	mu      sync.Mutex
	token   string        // "" while logged out
	arrived chan struct{} // closed once there is a token
	lost    chan struct{} // closed when the store no longer knows the token
	problem error         // why the last attempt to log in failed
}

func newSession() *session {
	return &session{arrived: make(chan struct{})}
}

// wait returns the token, once there is one. When ctx ends first it fails with
// registry.Unavailable.
func (s *session) wait(ctx context.Context) (string, error) {
	for {
		s.mu.Lock()
		token, arrived, problem := s.token, s.arrived, s.problem
		s.mu.Unlock()
		if token != "" {
			return token, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			if problem != nil {
				return "", unavailable(fmt.Errorf("wait for a login: %w; the last one failed: %w", ctx.Err(), causeOf(problem)))
			}
			return "", unavailable(fmt.Errorf("wait for a login: %w", ctx.Err()))
		}
	}
}

// begin makes token the present one. The channel it returns is closed when
// somebody finds that the store does not know it.
func (s *session) begin(token string) (lost <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" {
		close(s.arrived)
	}
	s.token, s.lost, s.problem = token, make(chan struct{}), nil
	return s.lost
}

// end forgets token, if it is the present one, and tells Run.
func (s *session) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == "" || s.token != token {
		return
	}
	close(s.lost)
	s.token, s.arrived = "", make(chan struct{})
}

// fail notes why no login came about, for those who wait in vain.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
}

// present is the token, or "" while logged out.
func (s *session) present() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}
