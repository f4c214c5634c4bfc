package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) pullPolicyCommand() *cobra.Command {
	var dir policyDir
	var tier string
	cmd := &cobra.Command{
		Use:   "pull [TIER/ID…]",
		Short: "Write policies of the server into files",
		Long: `Writes the policies that are named, or all that the server has, into the directory.
Files that are there are overwritten.`,
		ValidArgsFunction: d.completePolicies,
	}
	dir.bind(cmd)
	cmd.Flags().StringVar(&tier, "tier", "", "without names: only policies of this `tier`")
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		keys, err := layerKeys(cmd, names)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		pull := func(raw json.RawMessage) error {
			f, err := fromServer(raw)
			if err != nil {
				return err
			}
			if err := dir.write(f); err != nil {
				return err
			}
			return writeAll(d.io.out, []byte("pulled "+f.key.String()+"\n"))
		}
		for _, key := range keys {
			answer, err := client.PolicyJSON(cmd.Context(), key)
			if err != nil {
				return aboutPolicy(key, err)
			}
			if err := pull(answer.Document); err != nil {
				return err
			}
		}
		if len(keys) > 0 {
			return nil
		}
		for raw, err := range client.PoliciesJSON(cmd.Context(), registry.Tier(tier)) {
			if err != nil {
				return err
			}
			if err := pull(raw); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

func (d *developer) pushPolicyCommand() *cobra.Command {
	var dir policyDir
	var write apiclient.PolicyWrite
	cmd := &cobra.Command{
		Use:   "push [TIER/ID…]",
		Short: "Make the server's policies what the files say",
		Long: `Writes the policies that are named, or all in the directory, to the server, one after
another; those that are the same already are left alone. Policies that have no file
are not deleted. A policy that denies every call is refused unless --denies-everyone
says that it is meant to.`,
		Example:           "  credence policy push team/customer-success",
		ValidArgsFunction: d.completePolicies,
	}
	dir.bind(cmd)
	cmd.Flags().BoolVar(&write.DeniesEveryone, "denies-everyone", false, "take policies that deny every call")
	cmd.Flags().BoolVar(&write.DryRun, "dry-run", false, "check everything, and change nothing")
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
			done, err := pushPolicy(cmd, client, f, write)
			if err != nil {
				return aboutPolicy(f.key, err)
			}
			if err := writeAll(d.io.out, []byte(done+" "+f.key.String()+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// pushPolicy writes one policy on the state that the server shows, and says what
// it did.
func pushPolicy(cmd *cobra.Command, client *apiclient.Client, f policyFile, write apiclient.PolicyWrite) (string, error) {
	there, etag, err := serverPolicy(cmd, client, f.key)
	if err != nil {
		return "", err
	}
	done := "created"
	if etag != "" {
		if len(policyDiff(there, f)) == 0 {
			return "unchanged", nil
		}
		done = "replaced"
	}
	write.IfMatch = etag
	if _, err := client.PutPolicyJSON(cmd.Context(), f.key, f.document(), write); err != nil {
		return "", err
	}
	if write.DryRun {
		return "would be " + done + ":", nil
	}
	return done, nil
}

// serverPolicy is the policy as the server has it and its ETag, "" where it has
// none.
func serverPolicy(cmd *cobra.Command, client *apiclient.Client, key registry.LayerKey) (policyFile, string, error) {
	answer, err := client.PolicyJSON(cmd.Context(), key)
	if errors.Is(err, registry.NotFound) {
		return policyFile{key: key}, "", nil
	}
	if err != nil {
		return policyFile{}, "", err
	}
	f, err := fromServer(answer.Document)
	return f, answer.ETag, err
}

func (d *developer) rollbackPolicyCommand() *cobra.Command {
	var write apiclient.PolicyWrite
	cmd := &cobra.Command{
		Use:   "rollback TIER/ID VERSION",
		Short: "Make a policy again what it was",
		Long: `Makes a new version of the policy with the content of an old one, which is checked as
if it were written now. It brings back a policy that was deleted, too.
'credence policy versions' shows the versions.`,
		Example:           "  credence policy rollback team/customer-success 3",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: d.completePolicies,
	}
	cmd.Flags().BoolVar(&write.DeniesEveryone, "denies-everyone", false, "take a policy that denies every call")
	cmd.Flags().BoolVar(&write.DryRun, "dry-run", false, "check everything, and change nothing")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		key, err := layerKey(cmd, args[0])
		if err != nil {
			return err
		}
		version, err := versionNumber(cmd, args[1])
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		if _, write.IfMatch, err = serverPolicy(cmd, client, key); err != nil {
			return aboutPolicy(key, err)
		}
		if _, err := client.RollbackPolicyJSON(cmd.Context(), key, version, write); err != nil {
			return aboutPolicy(key, err)
		}
		done := "is again what it was in version"
		if write.DryRun {
			done = "would be again what it was in version"
		}
		return writeAll(d.io.out, fmt.Appendf(nil, "%s %s %d\n", key, done, version))
	})
	return cmd
}
