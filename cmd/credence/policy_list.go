package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) listPoliciesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List policies", Args: cobra.NoArgs}
	tier := &choice{allowed: []string{"global", "team", "agent_type", "agent"}}
	cmd.Flags().Var(tier, "tier", "only policies of this tier")
	_ = cmd.RegisterFlagCompletionFunc("tier", cobra.FixedCompletions(tier.allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		items := []json.RawMessage{}
		rows := [][]string{{"POLICY", "RULES", "REGO", "REQUIRED", "CEILING", "VERSION", "REVISION", "UPDATED"}}
		for raw, err := range client.PoliciesJSON(cmd.Context(), registry.Tier(tier.value)) {
			if err != nil {
				return err
			}
			var p api.Policy
			if err := json.Unmarshal(raw, &p); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			items = append(items, raw)
			rows = append(rows, []string{
				p.Tier + "/" + p.ID, strconv.Itoa(len(p.Rules)), yesNo(p.Rego != nil && *p.Rego != ""), yesNo(p.Required), yesNo(p.Ceiling != nil),
				strconv.FormatInt(p.Version, 10), strconv.FormatInt(p.Revision, 10), moment(p.UpdatedAt),
			})
		}
		if output.value == "json" {
			return writeJSON(d.io.out, mustJSON(map[string]any{"items": items}))
		}
		if len(rows) == 1 {
			fmt.Fprintln(d.io.err, "There are no policies.")
			return nil
		}
		var b bytes.Buffer
		table(&b, rows...)
		return writeAll(d.io.out, b.Bytes())
	})
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func (d *developer) policyVersionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "versions TIER/ID",
		Short:             "List what a policy was, the newest first",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completePolicies,
	}
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		key, err := layerKey(cmd, args[0])
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		rows := [][]string{{"VERSION", "ACTION", "BY", "AT"}}
		for v, err := range client.PolicyVersions(cmd.Context(), key) {
			if err != nil {
				return aboutPolicy(key, err)
			}
			rows = append(rows, []string{strconv.FormatInt(v.Version, 10), v.Action, v.By, moment(v.At)})
		}
		var b bytes.Buffer
		table(&b, rows...)
		return writeAll(d.io.out, b.Bytes())
	})
	return cmd
}

func versionNumber(cmd *cobra.Command, text string) (int64, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return 0, usageErrorf(cmd, "%q is no version: 'credence policy versions' shows them", plain(text))
	}
	return version, nil
}

func (d *developer) deletePolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete TIER/ID…",
		Short:             "Delete policies",
		Long:              `Deletes policies. Their versions stay, and 'credence policy rollback' brings one back.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: d.completePolicies,
	}
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		keys, err := layerKeys(cmd, names)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		for _, key := range keys {
			answer, err := client.PolicyJSON(cmd.Context(), key)
			if err == nil {
				err = client.DeletePolicy(cmd.Context(), key, apiclient.PolicyWrite{IfMatch: answer.ETag})
			}
			if err != nil {
				return aboutPolicy(key, err)
			}
			if err := writeAll(d.io.out, []byte("deleted "+key.String()+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}
