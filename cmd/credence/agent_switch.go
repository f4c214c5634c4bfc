package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
)

func (d *developer) suspendCommand() *cobra.Command {
	return d.newSwitch(&cobra.Command{
		Use:   "suspend NAME|ID --reason WHY",
		Short: "Deny an agent everything, until it is resumed",
		Long: `Suspends an agent: policy denies it within a second, then the secret store and the
identity provider refuse it. --revoke-tokens also has the tokens that it has now never
count again.`,
		Example: `  credence agent suspend support-triage --reason "leaked its secret" --revoke-tokens`,
	}, "suspended", (*apiclient.Client).SuspendAgent)
}

func (d *developer) resumeCommand() *cobra.Command {
	return d.newSwitch(&cobra.Command{
		Use:   "resume NAME|ID --reason WHY",
		Short: "Give a suspended agent back what it had",
		Long: `Resumes a suspended agent. Tokens that it had work again until they expire, unless
--revoke-tokens was given now or when it was suspended.`,
		Example: `  credence agent resume support-triage --reason "secret rotated" --revoke-tokens`,
	}, "resumed", (*apiclient.Client).ResumeAgent)
}

// newSwitch makes cmd suspend or resume an agent.
func (d *developer) newSwitch(cmd *cobra.Command, done string, call func(*apiclient.Client, context.Context, string, apiclient.Switch, apiclient.WriteOptions) (apiclient.Answer, error)) *cobra.Command {
	var s apiclient.Switch
	var o apiclient.WriteOptions
	cmd.Args, cmd.ValidArgsFunction = cobra.ExactArgs(1), d.oneAgent
	flags := cmd.Flags()
	flags.StringVar(&s.Reason, "reason", "", "`why`: shown with the agent and in the audit log")
	flags.BoolVar(&s.RevokeTokens, "revoke-tokens", false, "tokens issued until now never count again")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and do nothing")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	noFiles(cmd, "reason")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		answer, err := call(client, cmd.Context(), args[0], s, o)
		if err != nil {
			return err
		}
		return d.presentChange(answer, o.DryRun, done, output.value)
	})
	return cmd
}

func (d *developer) transferCommand() *cobra.Command {
	var t apiclient.Transfer
	var o apiclient.WriteOptions
	cmd := &cobra.Command{
		Use:   "transfer NAME|ID --to TEAM --owner WHO --reason WHY",
		Short: "Give an agent to another team, with a new identity",
		Long: `Gives an agent to another team. It is denied at once, and its client and its entity
are made anew: nothing that people of the old team hold works. The new team gets its
secret with 'credence agent rotate'.`,
		Example:           `  credence agent transfer support-triage --to platform --owner ben@example.com --reason "team was merged"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneAgent,
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Team, "to", "", "the new `team`")
	flags.StringVar(&t.Owner, "owner", "", "`whom` to reach from now on")
	flags.StringVar(&t.Reason, "reason", "", "`why`: shown in the audit log")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and do nothing")
	for _, name := range []string{"to", "owner", "reason"} {
		_ = cmd.MarkFlagRequired(name) // the flag exists
		noFiles(cmd, name)
	}
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		answer, err := client.TransferAgent(cmd.Context(), args[0], t, o)
		if err != nil {
			return err
		}
		return d.presentChange(answer, o.DryRun, "transferred to "+t.Team, output.value)
	})
	return cmd
}

// presentChange prints what became of a change of an agent.
func (d *developer) presentChange(answer apiclient.Answer, dryRun bool, done, output string) error {
	if dryRun {
		return d.printPlan(answer.Document, output)
	}
	if output == "json" {
		return writeJSON(d.io.out, answer.Document)
	}
	var a api.Agent
	if err := json.Unmarshal(answer.Document, &a); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%s): %s\n", plain(a.Name), plain(a.ID), plain(done))
	if answer.Accepted {
		fmt.Fprintf(&b, "A provider has yet to follow, which goes on in the background; 'credence agent get %s' tells how far it is.\n", plain(a.ID))
		printWaiting(&b, a)
	}
	return writeAll(d.io.out, b.Bytes())
}

// printPlan prints what a dry run says would be done.
func (d *developer) printPlan(document json.RawMessage, output string) error {
	if output == "json" {
		return writeJSON(d.io.out, document)
	}
	var r api.DryRun
	if err := json.Unmarshal(document, &r); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if len(r.Plan) == 0 {
		return writeAll(d.io.out, []byte("Nothing was done, and no provider would be asked for anything.\n"))
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "Nothing was done. This would be:")
	rows := make([][]string, 0, len(r.Plan))
	for _, call := range r.Plan {
		rows = append(rows, []string{"  " + call.Provider, call.Action, call.Object})
	}
	table(&b, rows...)
	return writeAll(d.io.out, b.Bytes())
}
