package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/registry"
)

// policyCommand is what the owners of rules do with them.
func policyCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).policyCommand()
}

func (d *developer) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, test and publish policies",
		Long: `Works with policies: rules in the tiers global, team, agent_type and agent. A policy
is named TIER/ID, such as team/customer-success; that of an agent by the agent's id.

Kept in files, in a directory that goes into version control:

  policies/team/customer-success.yaml        rules, required, ceiling
  policies/team/customer-success.rego        custom Rego, if there is any
  policies/team/customer-success_test.rego   its tests

pull writes these files, diff and validate say what push would do, and push does it:
the policies are live in every policy engine moments later. It exits as credence
agent does.`,
		Example: `  credence policy pull team/customer-success
  credence policy test
  credence policy diff && credence policy push`,
	}
	d.bind(cmd)
	cmd.AddCommand(
		d.pullPolicyCommand(), d.testPolicyCommand(), d.validatePolicyCommand(), d.diffPolicyCommand(), d.pushPolicyCommand(),
		d.listPoliciesCommand(), d.policyVersionsCommand(), d.rollbackPolicyCommand(), d.deletePolicyCommand(),
	)
	return cmd
}

// layerKey reads TIER/ID.
func layerKey(cmd *cobra.Command, name string) (registry.LayerKey, error) {
	tier, id, found := strings.Cut(name, "/")
	key := registry.LayerKey{Tier: registry.Tier(tier), ID: id}
	switch {
	case !found:
		return key, usageErrorf(cmd, "%q names no policy: write TIER/ID, such as team/customer-success", plain(name))
	case key.Tier == registry.TierAgent && !registry.IsUUID(id):
		return key, advise(usageErrorf(cmd, "an agent's policy is named by the agent's id, and %q is none", plain(id)), "'credence agent get NAME' shows it.")
	case !key.Valid():
		return key, usageErrorf(cmd, "there can be no policy %q: the tier is global, team, agent_type or agent", plain(name))
	}
	return key, nil
}

func layerKeys(cmd *cobra.Command, names []string) ([]registry.LayerKey, error) {
	keys := make([]registry.LayerKey, len(names))
	var err error
	for i, name := range names {
		if keys[i], err = layerKey(cmd, name); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// aboutPolicy says where to look for a policy that is not there, and what to do
// about one that somebody else changed.
func aboutPolicy(key registry.LayerKey, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", key, err)
	switch {
	case errors.Is(err, registry.NotFound):
		return advise(err, "'credence policy list' shows what there is.")
	case errors.Is(err, registry.PreconditionFailed):
		return advise(err, "Somebody else changed it meanwhile: 'credence policy diff' shows how it differs now.")
	}
	return err
}

// completePolicies completes policies' names from the server. It says nothing when
// that fails: it writes into a half-written command line.
func (d *developer) completePolicies(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, err := d.connect(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for raw, err := range client.PoliciesJSON(ctx, "") {
		key, ok := keyOf(raw)
		if err != nil || !ok {
			break
		}
		if strings.HasPrefix(key.String(), toComplete) {
			names = append(names, key.String())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
