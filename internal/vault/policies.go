package vault

import (
	"fmt"
	"strings"
)

// selfCare lets a token look at, renew and give back itself. The default policy
// has it among other things, and neither role takes the default policy.
const selfCare = `
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
`

// agentsPolicy is the one policy of all agents (invariant D1). A template that
// finds no value, as for a bare entity, removes its whole path from the policy.
//
// Secrets can be read, and their names listed, so that an agent finds what its
// team put there. Nothing can be written, and the metadata of a secret
// (versions, custom fields) cannot be read: agents have no need of it.
func agentsPolicy(kvMount string) string {
	const (
		entity      = "{{identity.entity.name}}"
		environment = "{{identity.entity.metadata.environment}}"
		team        = "{{identity.entity.metadata.team}}"
	)
	data := folders(kvMount+"/data", entity, environment, team)
	names := folders(kvMount+"/metadata", entity, environment, team)

	var b strings.Builder
	b.WriteString("# Written by `credence setup vault`: what an agent may read.\n")
	for _, p := range []struct{ data, names string }{
		{data.Own, names.Own}, {data.Team, names.Team}, {data.Common, names.Common},
	} {
		fmt.Fprintf(&b, `
path "%s/*" {
  capabilities = ["read"]
}
path "%s/*" {
  capabilities = ["list"]
}
`, p.data, p.names)
	}
	b.WriteString(selfCare)
	return b.String()
}

// controlPlanePolicy is all that Credence itself may do. It can write neither
// policies nor an entity's policies, each of which is as good as root, and
// reads no secret. Aliases are pinned to the agents' auth mount by its
// accessor, so that logins of people and other programs cannot be redirected.
// Of what Setup wrote it may read what decides about agents, to notice when
// somebody changes it.
//
// One thing no policy can say: which entity an alias of that mount points to.
// Entities of people with rights of their own are therefore better kept out of
// the namespace that Credence manages.
func (c SetupConfig) controlPlanePolicy(jwtAccessor string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by `+"`credence setup vault`"+`: what the control plane may do.

path "identity/entity/name/agent_*" {
  capabilities       = ["create", "read", "update", "delete"]
  allowed_parameters = { "metadata" = [], "disabled" = [] }
}
path "identity/lookup/entity" {
  capabilities        = ["update"]
  allowed_parameters  = { "alias_name" = [], "alias_mount_accessor" = ["%[1]s"] }
  required_parameters = ["alias_name", "alias_mount_accessor"]
}
path "identity/entity-alias" {
  capabilities        = ["create", "update"]
  allowed_parameters  = { "name" = [], "canonical_id" = [], "mount_accessor" = ["%[1]s"] }
  required_parameters = ["name", "canonical_id", "mount_accessor"]
}
`, jwtAccessor)
	for _, path := range []string{"sys/auth", c.agentPolicyPath(), c.jwtConfigPath(), c.agentRolePath()} {
		fmt.Fprintf(&b, "path \"%s\" {\n  capabilities = [\"read\"]\n}\n", path)
	}
	b.WriteString(selfCare)
	return b.String()
}

// databasePolicy lets its holder draw credentials of one database role.
func databasePolicy(mount, role string) string {
	return fmt.Sprintf(`# Written by `+"`credence setup vault`"+`: draw database credentials.

path "%s/creds/%s" {
  capabilities = ["read"]
}
`, mount, role)
}
