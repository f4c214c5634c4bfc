package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

func (d *developer) validatePolicyCommand() *cobra.Command {
	var dir policyDir
	cmd := &cobra.Command{
		Use:   "validate [TIER/ID…]",
		Short: "Have the server check policies without saving them",
		Long: `Has the server check the policies that are named, or all in the directory, as push
would: custom Rego is compiled with everything that is in force there, and its tests
are run. Nothing is saved.`,
		ValidArgsFunction: d.completePolicies,
	}
	dir.bind(cmd)
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		files, err := dir.chosen(cmd, names)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		for _, f := range files {
			raw, err := client.ValidatePolicyJSON(cmd.Context(), f.key, f.document())
			if err != nil {
				return aboutPolicy(f.key, err)
			}
			var verdict api.PolicyVerdict
			if err := json.Unmarshal(raw, &verdict); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			line := fmt.Sprintf("valid %s, %d tests passed", f.key, len(verdict.Tests))
			if verdict.DeniesEveryone {
				line += "; it denies every call, so push needs --denies-everyone"
			}
			if err := writeAll(d.io.out, []byte(line+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}
