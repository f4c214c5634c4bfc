// Package sweep compares what the providers have with what the registry says, now
// and then: people and other programs change things there too, and what nobody
// looks at stays wrong. It repairs what a pass can repair, removes what it can
// prove to be left over from us, and reports the rest.
package sweep

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// What the providers are called in a Drift.
const (
	auth0 = "auth0"
	vault = "vault"
)

// The kinds of objects of an agent.
const (
	kindClient = "client"
	kindGrant  = "grant"
	kindEntity = "entity"
	kindAlias  = "alias"
)

// fieldDisabled says whether an entity is shut out.
const fieldDisabled = "disabled"

// How a Drift says that an object is there or is not; its Field is "" then.
const (
	present = "present"
	absent  = "absent"
)

// Found is what the providers have of one agent; nil is nothing.
type Found struct {
	Client *registry.ProviderClient
	Grant  *registry.ProviderGrant
	Entity *registry.ProviderEntity

	// Unlisted says that the client is not in the list of machine-to-machine
	// applications of this installation.
	Unlisted bool
}

// Compare returns in which respects the providers differ from what the registry
// says of a, a living agent that needs no pass. Of an agent that is suspended it
// looks at what shuts it out alone: the rest is made anew when it is resumed.
//
// Two things are not repaired though a pass could. A client that is gone is
// reported: another one would have other credentials, which nobody asked for;
// a transfer to its own team, or to register anew, makes one. And an entity that
// somebody disabled is not enabled (invariant C2): that may be how an operator
// stopped an agent at three in the morning, and its old tokens would live again.
func Compare(a registry.Agent, f Found) []registry.Drift {
	c := comparison{agent: a}
	c.client(f)
	if a.Suspended {
		c.shutOut(f)
		return c.drifts
	}
	if f.Client != nil {
		c.grant(f.Grant)
	}
	c.entity(f.Entity)
	return c.drifts
}

// comparison collects the drifts of one agent.
type comparison struct {
	agent  registry.Agent
	drifts []registry.Drift
}

// differ notes a drift where expected and found differ.
func (c *comparison) differ(provider, kind, field, expected, found string, action registry.DriftAction) {
	if expected == found {
		return
	}
	id := c.agent.ClientID // a grant has no name but its client's
	if provider == vault {
		id = registry.EntityName(c.agent.ID)
	}
	c.drifts = append(c.drifts, registry.Drift{
		Provider: provider, ObjectKind: kind, ObjectID: id, AgentID: c.agent.ID,
		Field: field, Expected: quote(expected), Found: quote(found), Action: action,
	})
}

func (c *comparison) client(f Found) {
	if f.Client == nil {
		c.differ(auth0, kindClient, "", present, absent, registry.DriftReported)
		return
	}
	if c.agent.Suspended {
		return
	}
	differ := func(field, expected, found string) {
		c.differ(auth0, kindClient, field, expected, found, registry.DriftRepairing)
	}
	if f.Unlisted {
		differ("list", present, absent)
	}
	differ("name", registry.EntityName(c.agent.ID), f.Client.Name)
	differ("grant_types", clientCredentials, set(f.Client.GrantTypes))
	differ("auth_method", string(authMethod(c.agent.Authentication)), string(f.Client.AuthMethod))
	for _, m := range clientMetadata(c.agent) {
		differ("metadata."+m.name, m.value, f.Client.Metadata[m.name])
	}
}

const clientCredentials = "client_credentials"

// authMethod is what an agent authenticates with that says nothing of it.
func authMethod(m registry.AuthMethod) registry.AuthMethod {
	if m == "" {
		return registry.ClientSecretPost
	}
	return m
}

type pair struct{ name, value string }

// clientMetadata is what the claims in the agent's tokens are made of.
func clientMetadata(a registry.Agent) []pair {
	return []pair{{"agent_id", a.ID}, {"team", a.Team}, {"agent_type", a.AgentType}, {"environment", a.Environment}}
}

func (c *comparison) grant(g *registry.ProviderGrant) {
	differ := func(field, expected, found string) {
		c.differ(auth0, kindGrant, field, expected, found, registry.DriftRepairing)
	}
	if g == nil {
		differ("", present, absent)
		return
	}
	differ("allow_all_scopes", "false", strconv.FormatBool(g.AllowAll))
	differ("scopes", set(c.agent.Scopes), set(g.Scopes))
}

func (c *comparison) entity(e *registry.ProviderEntity) {
	if e == nil {
		c.differ(vault, kindEntity, "", present, absent, registry.DriftRepairing)
		return
	}
	c.differ(vault, kindEntity, fieldDisabled, "false", strconv.FormatBool(e.Disabled), registry.DriftReported)
	c.differ(vault, kindEntity, "policies", "", set(e.Policies), registry.DriftReported) // we never write any
	action := registry.DriftRepairing
	if e.Disabled {
		action = registry.DriftReported // a pass would stop at it
	}
	c.differ(vault, kindEntity, "id", c.agent.EntityID, e.ID, action)
	rest := maps.Clone(e.Metadata)
	for _, m := range entityMetadata(c.agent) {
		c.differ(vault, kindEntity, "metadata."+m.name, m.value, e.Metadata[m.name], action)
		delete(rest, m.name)
	}
	c.differ(vault, kindEntity, "metadata", "", set(slices.Collect(maps.Keys(rest))), action)
	c.alias(e, action)
}

// entityMetadata is what the agents' policy in the secret store is templated on,
// and what people see there.
func entityMetadata(a registry.Agent) []pair {
	return append(clientMetadata(a), pair{"agent_name", a.Name}, pair{"managed_by", "credence"})
}

func (c *comparison) alias(e *registry.ProviderEntity, action registry.DriftAction) {
	switch {
	case e.AliasID == "" && e.AliasAccessor != "" && e.AliasAccessor != e.MountAccessor:
		c.differ(vault, kindAlias, "accessor", e.MountAccessor, e.AliasAccessor, action)
	case e.AliasID == "":
		c.differ(vault, kindAlias, "", present, absent, action)
	case e.AliasName != c.agent.Subject():
		// Somebody else's tokens open the entity. The store has no place for a
		// second alias beside it, so no pass can make ours.
		c.differ(vault, kindAlias, "name", c.agent.Subject(), e.AliasName, registry.DriftReported)
	default:
		c.differ(vault, kindAlias, "id", c.agent.AliasID, e.AliasID, action)
	}
}

// shutOut looks at what keeps a suspended agent out. An entity that is gone is no
// way in.
func (c *comparison) shutOut(f Found) {
	if f.Entity != nil {
		c.differ(vault, kindEntity, fieldDisabled, "true", strconv.FormatBool(f.Entity.Disabled), registry.DriftRepairing)
	}
	if f.Grant != nil {
		c.differ(auth0, kindGrant, "", absent, present, registry.DriftRepairing)
	}
}

// Steps are those whose repetition repairs the drifts that a pass can repair, in
// order.
func Steps(drifts []registry.Drift) []registry.StepName {
	again := map[registry.StepName]bool{}
	for _, d := range drifts {
		if d.Action != registry.DriftRepairing {
			continue
		}
		switch d.ObjectKind {
		case kindClient:
			again[registry.StepClient] = true
		case kindGrant:
			again[registry.StepGrant] = true
		case kindEntity: // another entity has no alias
			again[registry.StepEntity], again[registry.StepAlias] = true, true
		case kindAlias:
			again[registry.StepAlias] = true
		}
	}
	var steps []registry.StepName
	for _, step := range registry.Steps {
		if again[step] {
			steps = append(steps, step)
		}
	}
	return steps
}

// set shows strings whose order means nothing.
func set(s []string) string {
	sorted := slices.Clone(s)
	slices.Sort(sorted)
	return strings.Join(slices.Compact(sorted), " ")
}

// maxQuoted bounds what is quoted of a provider, in bytes.
const maxQuoted = 512

// quote is s as a row and a terminal can take it: whoever may write at the
// provider chose it.
func quote(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(clean) > maxQuoted {
		clean = strings.ToValidUTF8(clean[:maxQuoted], "") + "…"
	}
	return clean
}
