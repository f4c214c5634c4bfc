// Package policy is the platform's own policy: Rego that any OPA runs over the
// registry's data, and that denies a call which nothing there allows.
//
// The registry serves the policy, not this package: `credence migrate` stores
// what Platform returns and makes it the active one.
package policy

import (
	"crypto/sha256"
	_ "embed" // the modules
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// Version grows with every change of the modules: a registry takes no
	// policy that is older than its own.
	Version = 3
	// Layout is the layout of the data that the modules read below
	// data.registry.
	Layout = 3
	// PreviousHash is the Hash of the modules of Version-1, which some
	// registries still have active. They are kept in testdata/v2.
	PreviousHash = "750e3dd705362618e1147d432a0688806b1d9952e2d52a658f9769b29c5f8fc8"
	// EntryPoint is the path of the decision, for the Data API and
	// opa-envoy-plugin.
	EntryPoint = "mcp/authz/decision"
	// Query is EntryPoint in Rego.
	Query = "data.mcp.authz.decision"
)

// The modules, each in a file of its own. Tests are not among them.
var (
	//go:embed authz.rego
	authz string
	//go:embed contributions.rego
	contributions string
	//go:embed decision.rego
	decision string
	//go:embed envoy.rego
	envoy string
	//go:embed facts.rego
	facts string
	//go:embed hours.rego
	hours string
	//go:embed layers.rego
	layers string
	//go:embed mask.rego
	mask string
	//go:embed request.rego
	request string
	//go:embed rules.rego
	rules string
	//go:embed tiers.rego
	tiers string
	//go:embed token.rego
	token string
	//go:embed transport.rego
	transport string
)

// Platform returns the platform policy of this binary. Its modules are named by
// their files; Revision is zero, as it is not activated. The caller may change
// what it returns. It is safe for concurrent use.
func Platform() registry.PlatformPolicy {
	modules := map[string]string{
		"authz.rego":         authz,
		"contributions.rego": contributions,
		"decision.rego":      decision,
		"envoy.rego":         envoy,
		"facts.rego":         facts,
		"hours.rego":         hours,
		"layers.rego":        layers,
		"mask.rego":          mask,
		"request.rego":       request,
		"rules.rego":         rules,
		"tiers.rego":         tiers,
		"token.rego":         token,
		"transport.rego":     transport,
	}
	return registry.PlatformPolicy{Hash: Hash(modules), Version: Version, Layout: Layout, Modules: modules}
}

// Hash returns the SHA-256, in hex, of modules by name: sorted by name, of each
// its name, a zero byte, its length in decimal, a zero byte and its text. No two
// sets of modules have the same bytes, as no name holds a zero byte.
func Hash(modules map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		h.Write(fmt.Appendf(nil, "%s\x00%d\x00%s", name, len(modules[name]), modules[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Shard returns the shard that holds key in data.registry.agents, where keys are
// subjects, in data.registry.resources, where they are names, and of the tiers
// team, agent_type and agent in data.registry.layers, where they are ids: the
// first byte of the key's SHA-256, as two hex digits. key is valid UTF-8, as all
// text in bundles is.
func Shard(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:1])
}
