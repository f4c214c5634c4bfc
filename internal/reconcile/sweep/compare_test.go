package sweep_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
)

const agentID = "0198f000-0000-7000-8000-000000000001"

// agent is as desired, and so is what asDesired returns for it.
func agent() registry.Agent {
	return registry.Agent{
		ID: agentID, Name: "triage", Team: "support", AgentType: "worker", Environment: "prod",
		Scopes: []string{"read:tickets", "write:tickets"}, Lifecycle: registry.Active, Authentication: registry.ClientSecretPost,
		ClientID: "client-1", GrantID: "cgr_1", EntityID: "entity-1", AliasID: "alias-1", Version: 7,
		Convergence: registry.Convergence{Generation: 3, Observed: 3},
	}
}

func asDesired(a registry.Agent) sweep.Found {
	c, g, e := clientOf(a), registry.ProviderGrant{ID: a.GrantID, Scopes: []string{"write:tickets", "read:tickets"}}, entityOf(a)
	return sweep.Found{Client: &c, Grant: &g, Entity: &e}
}

func clientOf(a registry.Agent) registry.ProviderClient {
	return registry.ProviderClient{
		FoundClient: registry.FoundClient{ClientID: a.ClientID, IntentID: "0198f000-0000-7000-8000-0000000000aa"},
		Name:        "agent_" + a.ID, AgentID: a.ID, GrantTypes: []string{"client_credentials"}, AuthMethod: a.Authentication,
		Metadata: map[string]string{
			"agent_id": a.ID, "team": a.Team, "agent_type": a.AgentType, "environment": a.Environment,
			"managed_by": "credence/test", "intent_id": "0198f000-0000-7000-8000-0000000000aa", "cost_centre": "somebody else's",
		},
	}
}

func entityOf(a registry.Agent) registry.ProviderEntity {
	return registry.ProviderEntity{
		ID: a.EntityID, AliasID: a.AliasID, AliasName: a.ClientID + "@clients", AliasAccessor: "auth_jwt_1", MountAccessor: "auth_jwt_1",
		Metadata: map[string]string{
			"agent_id": a.ID, "agent_name": a.Name, "team": a.Team, "agent_type": a.AgentType, "environment": a.Environment, "managed_by": "credence",
		},
	}
}

// The drifts of the agent's objects, in short.
func atClient(field, expected, found string, action registry.DriftAction) registry.Drift {
	return registry.Drift{Provider: "auth0", ObjectKind: "client", ObjectID: "client-1", AgentID: agentID, Field: field, Expected: expected, Found: found, Action: action}
}

func atGrant(field, expected, found string, action registry.DriftAction) registry.Drift {
	return registry.Drift{Provider: "auth0", ObjectKind: "grant", ObjectID: "client-1", AgentID: agentID, Field: field, Expected: expected, Found: found, Action: action}
}

func atEntity(field, expected, found string, action registry.DriftAction) registry.Drift {
	return registry.Drift{Provider: "vault", ObjectKind: "entity", ObjectID: "agent_" + agentID, AgentID: agentID, Field: field, Expected: expected, Found: found, Action: action}
}

func atAlias(field, expected, found string, action registry.DriftAction) registry.Drift {
	return registry.Drift{Provider: "vault", ObjectKind: "alias", ObjectID: "agent_" + agentID, AgentID: agentID, Field: field, Expected: expected, Found: found, Action: action}
}

const (
	repaired = registry.DriftRepairing
	reported = registry.DriftReported
)

func TestCompare(t *testing.T) {
	t.Parallel()
	type drifts = []registry.Drift
	type steps = []registry.StepName
	for _, tc := range []struct {
		name   string
		change func(*registry.Agent, *sweep.Found)
		want   drifts
		steps  steps
	}{
		{"as desired", func(*registry.Agent, *sweep.Found) {}, nil, nil},

		{"client gone", func(_ *registry.Agent, f *sweep.Found) { f.Client, f.Grant = nil, nil },
			drifts{atClient("", "present", "absent", reported)}, nil},
		{"client of another type, or another's", func(_ *registry.Agent, f *sweep.Found) { f.Unlisted = true },
			drifts{atClient("list", "present", "absent", repaired)}, steps{registry.StepClient}},
		{"name", func(_ *registry.Agent, f *sweep.Found) { f.Client.Name = "My app" },
			drifts{atClient("name", "agent_"+agentID, "My app", repaired)}, steps{registry.StepClient}},
		{"a grant type too many", func(_ *registry.Agent, f *sweep.Found) {
			f.Client.GrantTypes = []string{"password", "client_credentials"}
		}, drifts{atClient("grant_types", "client_credentials", "client_credentials password", repaired)}, steps{registry.StepClient}},
		{"no grant type", func(_ *registry.Agent, f *sweep.Found) { f.Client.GrantTypes = nil },
			drifts{atClient("grant_types", "client_credentials", "", repaired)}, steps{registry.StepClient}},
		{"no authentication", func(_ *registry.Agent, f *sweep.Found) { f.Client.AuthMethod = "none" },
			drifts{atClient("auth_method", "client_secret_post", "none", repaired)}, steps{registry.StepClient}},
		{"a secret beside keys", func(a *registry.Agent, _ *sweep.Found) { a.Authentication = registry.PrivateKeyJWT },
			drifts{atClient("auth_method", "private_key_jwt", "client_secret_post", repaired)}, steps{registry.StepClient}},
		{"another's id", func(_ *registry.Agent, f *sweep.Found) { f.Client.Metadata["agent_id"] = "other" },
			drifts{atClient("metadata.agent_id", agentID, "other", repaired)}, steps{registry.StepClient}},
		{"another team", func(_ *registry.Agent, f *sweep.Found) { f.Client.Metadata["team"] = "finance" },
			drifts{atClient("metadata.team", "support", "finance", repaired)}, steps{registry.StepClient}},
		{"another type", func(_ *registry.Agent, f *sweep.Found) { f.Client.Metadata["agent_type"] = "root" },
			drifts{atClient("metadata.agent_type", "worker", "root", repaired)}, steps{registry.StepClient}},
		{"another environment", func(_ *registry.Agent, f *sweep.Found) { delete(f.Client.Metadata, "environment") },
			drifts{atClient("metadata.environment", "prod", "", repaired)}, steps{registry.StepClient}},

		{"grant gone", func(_ *registry.Agent, f *sweep.Found) { f.Grant = nil },
			drifts{atGrant("", "present", "absent", repaired)}, steps{registry.StepGrant}},
		{"a scope too many", func(_ *registry.Agent, f *sweep.Found) { f.Grant.Scopes = append(f.Grant.Scopes, "admin") },
			drifts{atGrant("scopes", "read:tickets write:tickets", "admin read:tickets write:tickets", repaired)}, steps{registry.StepGrant}},
		{"a scope too few", func(_ *registry.Agent, f *sweep.Found) { f.Grant.Scopes = []string{"read:tickets"} },
			drifts{atGrant("scopes", "read:tickets write:tickets", "read:tickets", repaired)}, steps{registry.StepGrant}},
		{"all scopes", func(_ *registry.Agent, f *sweep.Found) { f.Grant.AllowAll = true },
			drifts{atGrant("allow_all_scopes", "false", "true", repaired)}, steps{registry.StepGrant}},

		{"entity gone", func(_ *registry.Agent, f *sweep.Found) { f.Entity = nil },
			drifts{atEntity("", "present", "absent", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"another entity", func(_ *registry.Agent, f *sweep.Found) { f.Entity.ID = "entity-2" },
			drifts{atEntity("id", "entity-1", "entity-2", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity of another team", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Metadata["team"] = "finance" },
			drifts{atEntity("metadata.team", "support", "finance", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity of another environment", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Metadata["environment"] = "dev" },
			drifts{atEntity("metadata.environment", "prod", "dev", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity of another type", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Metadata["agent_type"] = "root" },
			drifts{atEntity("metadata.agent_type", "worker", "root", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity of another agent", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Metadata["agent_id"] = "other" },
			drifts{atEntity("metadata.agent_id", agentID, "other", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity of another name", func(_ *registry.Agent, f *sweep.Found) { delete(f.Entity.Metadata, "agent_name") },
			drifts{atEntity("metadata.agent_name", "triage", "", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"entity that is nobody's", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Metadata["managed_by"] = "hand" },
			drifts{atEntity("metadata.managed_by", "credence", "hand", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"metadata that a policy might read", func(_ *registry.Agent, f *sweep.Found) {
			f.Entity.Metadata["z"], f.Entity.Metadata["a"] = "1", "2"
		}, drifts{atEntity("metadata", "", "a z", repaired)}, steps{registry.StepEntity, registry.StepAlias}},
		{"policies of its own", func(_ *registry.Agent, f *sweep.Found) { f.Entity.Policies = []string{"root", "admin"} },
			drifts{atEntity("policies", "", "admin root", reported)}, nil},

		{"alias gone", func(_ *registry.Agent, f *sweep.Found) {
			f.Entity.AliasID, f.Entity.AliasName, f.Entity.AliasAccessor = "", "", ""
		}, drifts{atAlias("", "present", "absent", repaired)}, steps{registry.StepAlias}},
		{"another alias", func(_ *registry.Agent, f *sweep.Found) { f.Entity.AliasID = "alias-2" },
			drifts{atAlias("id", "alias-1", "alias-2", repaired)}, steps{registry.StepAlias}},
		{"alias of the client id alone", func(_ *registry.Agent, f *sweep.Found) { f.Entity.AliasName = "client-1" },
			drifts{atAlias("name", "client-1@clients", "client-1", reported)}, nil},
		{"alias at a mount that was made anew", func(_ *registry.Agent, f *sweep.Found) {
			f.Entity.AliasID, f.Entity.MountAccessor = "", "auth_jwt_2"
		}, drifts{atAlias("accessor", "auth_jwt_2", "auth_jwt_1", repaired)}, steps{registry.StepAlias}},

		{"all at once", func(_ *registry.Agent, f *sweep.Found) {
			f.Client.Name, f.Grant.AllowAll, f.Entity.ID, f.Entity.AliasID = "My app", true, "entity-2", "alias-2"
		}, drifts{
			atClient("name", "agent_"+agentID, "My app", repaired), atGrant("allow_all_scopes", "false", "true", repaired),
			atEntity("id", "entity-1", "entity-2", repaired), atAlias("id", "alias-1", "alias-2", repaired),
		}, steps{registry.StepClient, registry.StepGrant, registry.StepEntity, registry.StepAlias}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := agent()
			f := asDesired(a)
			tc.change(&a, &f)
			got := sweep.Compare(a, f)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Compare() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.steps, sweep.Steps(got)); diff != "" {
				t.Errorf("Steps() (-want +got):\n%s", diff)
			}
		})
	}
}

// Only a fenced resume enables an entity. Whatever else a pass would do to one
// that is disabled, it stops there: so nothing of it is repaired.
func TestInvariant_C2_DriftRepairsOnlyTowardsDisabled(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		suspended bool
		disabled  bool
		want      []registry.Drift
	}{
		{"active and disabled by somebody", false, true, []registry.Drift{
			atEntity("disabled", "false", "true", reported), atEntity("metadata.team", "support", "finance", reported), atAlias("id", "alias-1", "alias-2", reported),
		}},
		{"active and enabled", false, false, []registry.Drift{
			atEntity("metadata.team", "support", "finance", repaired), atAlias("id", "alias-1", "alias-2", repaired),
		}},
		{"suspended and enabled by somebody", true, false, []registry.Drift{atEntity("disabled", "true", "false", repaired)}},
		{"suspended and disabled", true, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := agent()
			f := asDesired(a)
			f.Entity.Metadata["team"], f.Entity.AliasID = "finance", "alias-2"
			a.Suspended, f.Entity.Disabled = tc.suspended, tc.disabled
			if a.Suspended {
				f.Grant = nil
			}
			if diff := cmp.Diff(tc.want, sweep.Compare(a, f)); diff != "" {
				t.Errorf("Compare() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASuspendedAgentIsShutOutAndNothingElse(t *testing.T) {
	t.Parallel()
	a := agent()
	a.Suspended = true
	for _, tc := range []struct {
		name   string
		change func(*sweep.Found)
		want   []registry.Drift
	}{
		{"shut out", func(*sweep.Found) {}, nil},
		{"its entity is gone", func(f *sweep.Found) { f.Entity = nil }, nil},
		{"its client has another name", func(f *sweep.Found) { f.Client.Name = "My app" }, nil},
		{"it can get tokens again", func(f *sweep.Found) { f.Grant = &registry.ProviderGrant{ID: "cgr_2"} },
			[]registry.Drift{atGrant("", "absent", "present", repaired)}},
		{"its client is gone", func(f *sweep.Found) { f.Client = nil }, []registry.Drift{atClient("", "present", "absent", reported)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := asDesired(a)
			f.Grant, f.Entity.Disabled = nil, true
			tc.change(&f)
			if diff := cmp.Diff(tc.want, sweep.Compare(a, f)); diff != "" {
				t.Errorf("Compare() (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever may write at a provider chooses what it holds: it must fit a row and a
// terminal.
func TestWhatAProviderHoldsIsQuotedWithCare(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ found, want string }{
		"controls":       {"a\x00b\x1b[31mc\nd", "a b [31mc d"},
		"no characters":  {"a\xffb", "a?b"},
		"long":           {strings.Repeat("x", 600), strings.Repeat("x", 512) + "…"},
		"cut in between": {strings.Repeat("x", 511) + "é", strings.Repeat("x", 511) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := asDesired(agent())
			f.Client.Name = tc.found
			got := sweep.Compare(agent(), f)
			if diff := cmp.Diff([]registry.Drift{atClient("name", "agent_"+agentID, tc.want, repaired)}, got); diff != "" {
				t.Errorf("Compare() (-want +got):\n%s", diff)
			}
		})
	}
}
