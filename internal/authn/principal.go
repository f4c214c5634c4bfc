package authn

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/credenceproject/credence/internal/registry"
)

// maxTeams is how many teams of a token count.
const maxTeams = 200

// principal is the caller whom verified claims describe.
func (v *Verifier) principal(ctx context.Context, c claims) registry.Principal {
	p := registry.Principal{
		Subject:     c.subject,
		Permissions: permissions(c),
	}
	if ids := c.clients(); len(ids) > 0 {
		p.ClientID = ids[0]
	}
	teams, ignored := teams(c.teams)
	if ignored > 0 {
		v.log.DebugContext(ctx, "ignored entries of the teams claim",
			slog.String("claim", v.config.TeamsClaim), slog.Int("ignored", ignored), slog.String("subject", c.subject))
	}
	p.Teams = teams
	return p
}

// permissions are those of ours that the token carries, by `permissions` (RBAC)
// or by `scope` (RFC 6749 section 3.3), sorted and each once.
func permissions(c claims) []registry.Permission {
	var held []registry.Permission
	for _, name := range slices.Concat(c.permissions, strings.Split(c.scope, " ")) {
		if isPermission(name) {
			held = append(held, registry.Permission(name))
		}
	}
	slices.Sort(held)
	return slices.Compact(held)
}

// isPermission reports whether name is a permission of the control plane, or
// that of one bundle scope, whose names are those of environments.
func isPermission(name string) bool {
	for _, known := range registry.Permissions {
		if name == string(known.Name) {
			return true
		}
	}
	scope, ok := strings.CutPrefix(name, string(registry.BundlesRead)+":")
	return ok && registry.ValidName(scope)
}

// teams reads the teams claim: the first maxTeams different names, in order. It
// counts what it ignored, which is everything else.
func teams(raw json.RawMessage) (names []string, ignored int) {
	if raw == nil {
		return nil, 0
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, 1
	}
	for _, entry := range entries {
		var name string
		if err := json.Unmarshal(entry, &name); err != nil || !registry.ValidName(name) || len(names) == maxTeams {
			ignored++
			continue
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, ignored
}
