package bundles

import (
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
)

// The names of a scope's discovery bundles: the rest of the configuration of an OPA
// that loads the scope as a whole, or in parts.
const (
	Discovery        = "discovery"
	DiscoveryOfParts = "discovery-parts"
)

// service is what an OPA's own configuration has to call this server.
const service = "credence"

// configuration is that of an OPA, as far as a discovery bundle gives it. It holds no
// keys: an OPA has those from its own configuration alone, or whoever could forge
// this bundle could forge all others.
type configuration struct {
	Bundles         map[string]source `json:"bundles"`
	DefaultDecision string            `json:"default_decision"`
}

type source struct {
	Service  string   `json:"service"`
	Resource string   `json:"resource"`
	Persist  bool     `json:"persist"`
	Polling  polling  `json:"polling"`
	Signing  *signing `json:"signing,omitempty"`
}

type polling struct {
	LongPollingTimeout int `json:"long_polling_timeout_seconds"`
	MinDelay           int `json:"min_delay_seconds"` // of polls that the server does not hold, and at most MaxDelay after a failed one
	MaxDelay           int `json:"max_delay_seconds"`
	SupersededETagTTL  int `json:"superseded_etag_ttl_seconds"`
}

// signing makes OPA refuse what is not signed by the key as the bundle of that name.
type signing struct {
	KeyID string `json:"keyid"`
	Scope string `json:"scope"`
}

// pollingOf is how often an OPA asks: always, and a lagging replica is told what the
// OPA had from another one.
var pollingOf = polling{LongPollingTimeout: 30, MinDelay: 1, MaxDelay: 5, SupersededETagTTL: 60}

// configurationOf is the configuration of an OPA that loads the scope as a whole, or
// in parts. keyID is that of the key that signs the scope's bundles, or "".
func configurationOf(scope string, inParts bool, keyID string) configuration {
	c := configuration{Bundles: map[string]source{}, DefaultDecision: "/mcp/authz/decision"}
	parts := []string{""}
	if inParts {
		parts = registry.Parts
	}
	for _, part := range parts {
		name, s := service, source{Service: service, Resource: "bundles/" + scope, Polling: pollingOf}
		if part != "" {
			name, s.Resource = fmt.Sprintf("%s-%s", service, part), fmt.Sprintf("bundles/%s/parts/%s", scope, part)
		}
		if keyID != "" {
			s.Signing = &signing{KeyID: keyID, Scope: registry.ScopePart{Scope: scope, Part: part}.String()}
		}
		c.Bundles[name] = s
	}
	return c
}
