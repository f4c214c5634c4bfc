package bundles

import (
	"math"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// agentRecord is an agent.
type agentRecord struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Team       string            `json:"team"`
	AgentType  string            `json:"agent_type"`
	Suspended  bool              `json:"suspended"`
	Scopes     []string          `json:"scopes"`      // sorted
	ExpiresAt  *int64            `json:"expires_at"`  // nanoseconds since 1970, or null for never
	ValidAfter *int64            `json:"valid_after"` // the same, or null where no token was revoked
	Labels     map[string]string `json:"labels"`
}

// Agent returns what policy reads of an agent, in every layout of bundles.
func Agent(a registry.AgentFacts) any {
	return agentRecord{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Suspended: a.Suspended, Scopes: set(a.Scopes),
		ExpiresAt: moment(a.ExpiresAt), ValidAfter: moment(a.ValidAfter), Labels: labels(a.Labels),
	}
}

// What 64 bits of nanoseconds reach from: the years 1677 to 2262.
var (
	firstMoment = time.Unix(0, math.MinInt64)
	lastMoment  = time.Unix(0, math.MaxInt64)
)

// moment is t in nanoseconds since 1970, or nil when it is zero: integers compare
// exactly, and with the clock of Rego as they are. What is out of reach is held at
// its end, where it still ends: an agent that expires in the year 9999 does so in
// 2262.
func moment(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ns := t.UnixNano()
	switch {
	case t.Before(firstMoment):
		ns = math.MinInt64
	case t.After(lastMoment):
		ns = math.MaxInt64
	}
	return &ns
}
