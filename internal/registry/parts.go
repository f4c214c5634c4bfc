package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// ScopePart names a bundle: a scope's as a whole where Part is "", else a part of
// it.
type ScopePart struct {
	Scope string // an environment, or AllScopes
	Part  string
}

// String is the name as tags have it: scope, or scope/part.
func (p ScopePart) String() string {
	if p.Part == "" {
		return p.Scope
	}
	return p.Scope + "/" + p.Part
}

// Touch is the newest change of something.
type Touch struct {
	Revision int64
	At       time.Time // of the database's clock
}

// The parts of a scope's bundle. Agents come in as many parts as a hex digit has
// values, by the first digit of their shard (AgentsPart).
const (
	PolicyPart    = "policy" // modules, environment and layers
	ResourcesPart = "resources"
	agentsPart    = "agents-"
)

const hexDigits = "0123456789abcdef"

// Parts are the names of all parts of a scope's bundle.
var Parts = func() []string {
	parts := []string{PolicyPart, ResourcesPart}
	for _, digit := range hexDigits {
		parts = append(parts, agentsPart+string(digit))
	}
	return parts
}()

// AgentsPart is the part that holds the agent with this subject.
func AgentsPart(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return agentsPart + hex.EncodeToString(sum[:1])[:1]
}

// Touches are the bundles that the change is in, as wholes and as parts. A scope
// that is AllScopes stands for every one that there is.
func (c Change) Touches() []ScopePart {
	var touched []ScopePart
	add := func(scope string, parts ...string) {
		if scope == "" {
			return
		}
		touched = append(touched, ScopePart{Scope: scope})
		for _, p := range parts {
			touched = append(touched, ScopePart{Scope: scope, Part: p})
		}
	}
	switch c.Kind {
	case AgentChange:
		if c.OldSubject != "" {
			add(c.OldScope, AgentsPart(c.OldSubject))
		}
		if c.Agent != nil {
			add(c.NewScope, AgentsPart(c.Agent.Subject))
		}
	case ResourceChange:
		add(c.scope(), ResourcesPart)
	case LayerChange:
		add(c.scope(), PolicyPart)
	case EnvironmentChange, PolicyChange, HeartbeatChange:
		add(c.NewScope, Parts...)
	case AgentTypeChange, TeamChange:
	}
	return touched
}

// scope is the one that the change is in.
func (c Change) scope() string {
	if c.NewScope != "" {
		return c.NewScope
	}
	return c.OldScope
}
