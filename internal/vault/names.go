package vault

import (
	"regexp"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// Values of entities end up in templated policies, and mounts and roles in
// paths that nobody escapes and in the text of policies. So each has a narrow
// alphabet, checked before anything is sent: Vault itself expands a team named
// "+" to every team.
var (
	pathRE     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}(/[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}){0,7}$`)
	roleRE     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	subjectRE  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}@clients$`)
	entityIDRE = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(\.[a-zA-Z0-9]{1,32})?$`)
)

func validPath(what, s string) error {
	if !pathRE.MatchString(s) {
		return invalid("the %s must be a path of letters, digits, - and _", what)
	}
	return nil
}

// validRole is stricter than validPath: policies are named after roles, and the
// store lower-cases the names of policies.
func validRole(what, s string) error {
	if !roleRE.MatchString(s) {
		return invalid("the %s must be a name of lower-case letters, digits, - and _", what)
	}
	return nil
}

// validAgent refuses an agent whose values could mean more than themselves in a
// template or a path.
func validAgent(a registry.Agent) error {
	if err := validAgentID(a.ID); err != nil {
		return err
	}
	for _, v := range []struct{ what, value string }{
		{"name", a.Name}, {"team", a.Team}, {"type", a.AgentType}, {"environment", a.Environment},
	} {
		if !registry.ValidName(v.value) {
			return refuse("The agent's %s cannot be used in the secret store.", v.what)
		}
	}
	return nil
}

// validAgentID wants lower case, because the store's entity names are
// case-insensitive and templates are not.
func validAgentID(id string) error {
	if !registry.IsUUID(id) || id != strings.ToLower(id) {
		return refuse("The agent's id cannot be used in the secret store.")
	}
	return nil
}

func refuse(format string, args ...any) error {
	return registry.Refused.Errorf(CodeRefused, format, args...)
}
