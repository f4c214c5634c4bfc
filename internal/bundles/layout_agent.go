package bundles

import (
	"math"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// agentRecord2 is an agent in data layout 2.
type agentRecord2 struct {
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

// agentRecord1 is an agent in data layout 1.
type agentRecord1 struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Team      string            `json:"team"`
	AgentType string            `json:"agent_type"`
	Suspended bool              `json:"suspended"`
	Labels    map[string]string `json:"labels"`
}

// Agent returns what policy reads of an agent, in the layout of bundles.
func Agent(layout int64, a registry.AgentFacts) any { return agentRecordIn(layout)(a) }

func agentRecordIn(layout int64) func(registry.AgentFacts) any {
	if layout == 1 {
		return agentRecord1Of
	}
	return agentRecord2Of
}

func agentRecord2Of(a registry.AgentFacts) any {
	return agentRecord2{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Suspended: a.Suspended, Scopes: set(a.Scopes),
		ExpiresAt: moment(a.ExpiresAt), ValidAfter: moment(a.ValidAfter), Labels: labels(a.Labels),
	}
}

// agentRecord1Of shows an agent that layout 1 has no words for as a suspended
// one: the policy of that layout would open it when its time is over, and take
// tokens that were revoked. That holds from the day on which an agent has an
// expiry, not from the expiry itself: a bundle's bytes hang on the registry's
// state alone, and no clock may make two of one tag (invariant B1).
func agentRecord1Of(a registry.AgentFacts) any {
	unsayable := !a.ExpiresAt.IsZero() || !a.ValidAfter.IsZero()
	return agentRecord1{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Suspended: a.Suspended || unsayable, Labels: labels(a.Labels),
	}
}

// set is s as a set: sorted, and never null. Equal sets give equal bytes.
func set(s []string) []string { return list(slices.Compact(slices.Sorted(slices.Values(s)))) }

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
