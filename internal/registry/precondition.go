package registry

import (
	"fmt"
	"slices"
)

// Tag identifies one state of the agent among all states of all agents. It is
// opaque to callers, who see it as the ETag.
func (a Agent) Tag() string { return fmt.Sprintf("%s.%d", a.ID, a.Version) }

// Tag identifies one state of the environment among all it had or will have.
func (e Environment) Tag() string { return e.tag(e.Name) }

// Tag identifies one state of the agent type among all it had or will have.
func (t AgentType) Tag() string { return t.tag(t.Name) }

// Tag identifies one state of the team among all it had or will have.
func (t Team) Tag() string { return t.tag(t.Name) }

func (m Meta) tag(name string) string { return fmt.Sprintf("%s.%d.%d", name, m.Revision, m.Version) }

// Tags is a list of states, as the fields If-Match and If-None-Match hold it
// (RFC 9110, section 13.1). The nil Tags is an absent field.
type Tags struct {
	Any  bool // the field was *
	List []string
}

// Has reports whether the state with this tag is in the list.
func (t *Tags) Has(tag string) bool {
	return t != nil && (t.Any || slices.Contains(t.List, tag))
}

// Precondition says on which states a write may act. The zero Precondition
// allows all.
type Precondition struct {
	IfMatch     *Tags
	IfNoneMatch *Tags
}

// Check returns a PreconditionFailed error unless the write may act on the
// present state: the one with this tag, or none at all when exists is false.
func (p Precondition) Check(exists bool, tag string) error {
	if p.IfMatch != nil && (!exists || !p.IfMatch.Has(tag)) {
		return PreconditionFailed.Errorf("precondition_failed",
			"it has changed since you read it, or is not there; read it again and repeat the change with its ETag")
	}
	if p.IfNoneMatch != nil && exists && p.IfNoneMatch.Has(tag) {
		return PreconditionFailed.Errorf("precondition_failed", "it exists already")
	}
	return nil
}
