package bundles

import "github.com/credenceproject/credence/internal/registry"

// Braked is how many callers the brake remembers, of all bundles.
func Braked(s *Service) int {
	s.brake.mu.Lock()
	defer s.brake.mu.Unlock()
	return len(s.brake.buckets)
}

// WokenBy reports whether change wakes those who wait for the bundle. Whoever waits
// for it keeps waiting.
func WokenBy(s *Service, name registry.ScopePart, change func()) bool {
	p := s.publishers[name]
	before := p.latest()
	change()
	return p.latest() != before
}
