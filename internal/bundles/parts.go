package bundles

import (
	"fmt"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// kind is what a bundle of a scope is made of.
type kind struct {
	discovery bool // an OPA's configuration, and nothing of what follows
	parts     bool // it is one of the parts, or of an OPA that loads them
	policy    bool // modules, layers, the environment, and what the bundle itself is
	agents    span // shards of the scope's agents
	resources span // shards of all resources
	roots     []string
}

// kinds are the bundles of a scope by their part.
var kinds = func() map[string]*kind {
	all := map[string]*kind{
		"":                  {policy: true, agents: allShards, resources: allShards, roots: []string{"mcp", "registry", "system/log"}},
		Discovery:           {discovery: true, roots: []string{"bundles", "default_decision"}},
		DiscoveryOfParts:    {discovery: true, parts: true, roots: []string{"bundles", "default_decision"}},
		registry.PolicyPart: {parts: true, policy: true, roots: []string{"mcp", "registry/environment", "registry/layers", "registry/meta", "system/log"}},
	}
	for _, part := range registry.Parts {
		if part == registry.PolicyPart {
			continue
		}
		k := &kind{parts: true, roots: []string{"registry/parts/" + part}}
		if digit, ok := strings.CutPrefix(part, "agents-"); ok {
			k.agents = shardsOf(digit)
			for i := k.agents.first; i < k.agents.end; i++ {
				k.roots = append(k.roots, fmt.Sprintf("registry/agents/%02x", i))
			}
		} else {
			k.resources, k.roots = allShards, append(k.roots, "registry/resources")
		}
		all[part] = k
	}
	return all
}()

const hexDigits = "0123456789abcdef"

// shardsOf are the shards whose names begin with the hex digit.
func shardsOf(digit string) span {
	first := 16 * strings.Index(hexDigits, digit)
	return span{first, first + 16}
}

// kindOf is the kind of a scope's bundle of that part, or nil where there is none.
func kindOf(part string) *kind { return kinds[part] }
