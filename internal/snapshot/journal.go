package snapshot

import (
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// The journal's bounds, where Options says nothing.
const (
	defaultJournalChanges = 10_000
	defaultJournalBytes   = 64 << 20
)

// journal are the last changes that led to a view, by scope. It never changes: a
// later one shares what it keeps of the one before, so that whoever reads one
// waits for nobody. Its slices are appended to in place, which readers of an older
// journal do not see: so only the newest may be continued, and by one goroutine.
type journal struct {
	floor  int64                        // everything after this revision is kept
	sizes  []sized                      // of each change, the oldest first
	bytes  int                          // all of them together
	scopes map[string][]registry.Change // by scope, AllScopes too, in order
}

type sized struct {
	revision int64
	bytes    int
}

// newJournal returns the journal of a view that was loaded: whoever has exactly
// that can go on from there.
func newJournal(at registry.Head) *journal {
	return &journal{floor: at.Revision, scopes: map[string][]registry.Change{}}
}

// bounds of a journal. It is cut when it has a quarter more changes, or more
// bytes; and then to the bytes less a quarter, so that it is not cut each time.
type bounds struct{ changes, bytes int }

// with returns the journal in which the changes follow.
func (j *journal) with(changes []registry.Change, most bounds) *journal {
	next := &journal{floor: j.floor, sizes: j.sizes, bytes: j.bytes, scopes: maps.Clone(j.scopes)}
	for _, c := range changes {
		scopes := scopesOf(c)
		if len(scopes) == 0 {
			continue
		}
		size := sizeOf(c) * len(scopes)
		next.sizes, next.bytes = append(next.sizes, sized{c.Revision, size}), next.bytes+size
		for _, s := range scopes {
			next.scopes[s] = append(next.scopes[s], c)
		}
	}
	switch {
	case next.bytes > most.bytes:
		next.cut(bounds{most.changes, most.bytes - most.bytes/4})
	case len(next.sizes) > most.changes+most.changes/4:
		next.cut(most)
	}
	return next
}

// cut drops the oldest changes until both bounds hold. What is left is copied: of
// what is dropped nothing is held on to.
func (j *journal) cut(most bounds) {
	n := 0
	for ; len(j.sizes)-n > most.changes || j.bytes > most.bytes; n++ {
		j.bytes -= j.sizes[n].bytes
		j.floor = j.sizes[n].revision
	}
	j.sizes = slices.Clone(j.sizes[n:])
	for scope, changes := range j.scopes {
		if kept := after(changes, j.floor); len(kept) > 0 {
			j.scopes[scope] = slices.Clone(kept)
		} else {
			delete(j.scopes, scope)
		}
	}
}

// since returns the scope's changes after the revision, in order; ok is false when
// some of them are not kept any more. The caller does not change them.
func (j *journal) since(scope string, revision int64) (changes []registry.Change, ok bool) {
	if revision < j.floor {
		return nil, false
	}
	own, shared := after(j.scopes[scope], revision), after(j.scopes[registry.AllScopes], revision)
	switch {
	case len(shared) == 0:
		return own, true
	case len(own) == 0:
		return shared, true
	}
	changes = make([]registry.Change, 0, len(own)+len(shared))
	for len(own) > 0 && len(shared) > 0 {
		if own[0].Revision < shared[0].Revision {
			changes, own = append(changes, own[0]), own[1:]
		} else {
			changes, shared = append(changes, shared[0]), shared[1:]
		}
	}
	return append(append(changes, own...), shared...), true
}

// after is the tail of changes that come after the revision.
func after(changes []registry.Change, revision int64) []registry.Change {
	at, _ := slices.BinarySearchFunc(changes, revision, func(c registry.Change, revision int64) int {
		if c.Revision <= revision {
			return -1
		}
		return 1
	})
	return changes[at:len(changes):len(changes)]
}

// scopesOf are the scopes whose policy sees the change. What no policy sees is in
// none.
func scopesOf(c registry.Change) []string {
	switch c.Kind {
	case registry.AgentChange, registry.ResourceChange, registry.EnvironmentChange, registry.PolicyChange, registry.LayerChange, registry.HeartbeatChange:
	default:
		return nil
	}
	var scopes []string
	for _, s := range []string{c.OldScope, c.NewScope} {
		if s != "" && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// sizeOf is about how many bytes the change takes in memory. That its strings may
// be shared with a view makes it less.
func sizeOf(c registry.Change) int {
	const fixed = 400 // the structures
	n := fixed + len(c.ObjectID)
	if a := c.Agent; a != nil {
		n += fixed + sizeOfLists(a.Scopes) + sizeOfLabels(a.Labels)
	}
	if r := c.Resource; r != nil {
		n += fixed + sizeOfLists(r.RequiredPermissions, r.Environments, r.Access.Teams, r.Access.AgentTypes) + sizeOfLabels(r.Labels)
	}
	if p := c.Policy; p != nil {
		n += sizeOfLabels(p.Modules)
	}
	if l := c.Layer; l != nil {
		n += fixed + len(l.Rego) + len(l.Previous)
		for _, r := range l.Rules {
			w := r.When
			n += fixed + len(r.Message) + sizeOfLists(w.Resources, w.Methods, w.Environments, w.DataClassification, w.Permissions, w.AgentTypes)
		}
	}
	return n
}

func sizeOfLists(lists ...[]string) (n int) {
	for _, list := range lists {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	return n
}

func sizeOfLabels(labels map[string]string) (n int) {
	for k, v := range labels {
		n += 64 + len(k) + len(v)
	}
	return n
}
