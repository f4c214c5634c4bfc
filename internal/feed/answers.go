package feed

import (
	"github.com/credenceproject/credence/internal/registry"
)

// answer is what a server said of a scope after a state: the changes, in order,
// which are all that there are up to another state.
type answer struct {
	since   registry.Head
	changes []registry.Change
	upTo    registry.Head
}

// after is what of the answer comes after the state; ok is false when the answer
// does not lead on from there.
func (a answer) after(at registry.Head) (rest answer, ok bool) {
	if a.since.Epoch != at.Epoch || at.Revision < a.since.Revision || at.Revision > a.upTo.Revision {
		return answer{}, false
	}
	changes := a.changes
	for len(changes) > 0 && changes[0].Revision <= at.Revision {
		changes = changes[1:]
	}
	return answer{since: at, changes: changes, upTo: a.upTo}, true
}

// maxChanges is how many changes are applied at once; who is further behind begins
// anew.
const maxChanges = 20_000

// readChanges reads what came after since. Its errors are those of reader.
func readChanges(r *reader, scope string, since registry.Head) (answer, error) {
	a := answer{since: since}
	for last := since.Revision; ; {
		l, err := r.next()
		switch {
		case err != nil:
			return answer{}, err
		case l.Kind == endLine:
			a.upTo, err = r.end(l, since.Epoch, last)
			return a, err
		case l.Epoch != since.Epoch || l.Revision <= last:
			return answer{}, broken("%s.%d comes after %s.%d", l.Epoch, l.Revision, since.Epoch, last)
		case len(a.changes) == maxChanges:
			return answer{}, broken("there are more changes than are followed")
		}
		c, err := l.change(scope)
		if err != nil {
			return answer{}, err
		}
		last = l.Revision
		a.changes = append(a.changes, c)
	}
}

// readSnapshot reads the scope's snapshot. Before it reads on, acceptable looks at
// which state it is of. Its errors are those of reader and of acceptable.
func readSnapshot(r *reader, scope string, acceptable func(registry.Head) error) (registry.Facts, error) {
	first, err := r.next()
	if err != nil {
		return registry.Facts{}, err
	}
	if first.Kind != beginLine || first.Scope != scope || first.Epoch == "" {
		return registry.Facts{}, broken("it does not begin with the scope %q", scope)
	}
	s := loading{scope: scope, seen: map[string]struct{}{}}
	s.Head = registry.Head{Epoch: first.Epoch, Revision: first.Revision}
	if err := acceptable(s.Head); err != nil {
		return registry.Facts{}, err
	}
	if s.Scopes, err = first.touches(); err != nil {
		return registry.Facts{}, err
	}
	for {
		l, err := r.next()
		switch {
		case err != nil:
			return registry.Facts{}, err
		case l.Epoch != s.Epoch || l.Revision != s.Revision:
			return registry.Facts{}, broken("a line is of %s.%d and not of %s.%d", l.Epoch, l.Revision, s.Epoch, s.Revision)
		case l.Kind == endLine && len(s.Environments) == 0:
			return registry.Facts{}, broken("the environment is not in it")
		case l.Kind == endLine:
			_, err := r.end(l, s.Epoch, s.Revision)
			return s.Facts, err
		}
		if err := s.add(l); err != nil {
			return registry.Facts{}, err
		}
	}
}

// touches are when the scope and its parts were last touched.
func (l anyLine) touches() (map[registry.ScopePart]registry.Touch, error) {
	touches := map[registry.ScopePart]registry.Touch{{Scope: l.Scope}: {Revision: l.Touched, At: l.AsOf}}
	for _, name := range registry.Parts {
		t, ok := l.Parts[name]
		if !ok || t.Revision > l.Revision {
			return nil, broken("it does not say when the part %q was touched", name)
		}
		touches[registry.ScopePart{Scope: l.Scope, Part: name}] = registry.Touch{Revision: t.Revision, At: t.AsOf}
	}
	if len(l.Parts) != len(registry.Parts) || l.Touched > l.Revision {
		return nil, broken("what it says of the scope cannot be")
	}
	return touches, nil
}

// loading is a snapshot that is being read.
type loading struct {
	registry.Facts
	scope string
	seen  map[string]struct{}
}

// add adds the object of the line.
func (s *loading) add(l anyLine) error {
	c, err := l.change(s.scope)
	if err != nil {
		return err
	}
	name := string(c.Kind)
	if c.Policy == nil { // there is one
		name += " " + c.ObjectID
	}
	if _, twice := s.seen[name]; twice {
		return broken("%s is in it twice", name)
	}
	s.seen[name] = struct{}{}
	switch {
	case c.Agent != nil:
		s.Agents = append(s.Agents, *c.Agent)
	case c.Resource != nil:
		s.Resources = append(s.Resources, *c.Resource)
	case c.Layer != nil:
		s.Layers = append(s.Layers, *c.Layer)
	case c.Environment != nil:
		s.Environments = append(s.Environments, *c.Environment)
	case c.Policy != nil:
		s.Policy = *c.Policy
	default:
		return broken("%s is in it and gone", name)
	}
	return nil
}
