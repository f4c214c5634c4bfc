package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

// driftCommand shows where the providers differ from the registry.
func driftCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).driftCommand()
}

func (d *developer) driftCommand() *cobra.Command {
	var repair bool
	var agent string
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Show where a provider differs from the registry (needs admin)",
		Long: `Shows what the last sweeps found: where the identity provider or the secret store
differs from the registry, and what becomes of it. With --repair, the agents that
differ are brought to what the registry says; what a person has to decide stays.`,
		Example: `  credence drift
  credence drift --repair --agent support-triage`,
		Args: cobra.NoArgs,
	}
	d.bind(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "bring the agents to what the registry says")
	cmd.Flags().StringVar(&agent, "agent", "", "with --repair: only this agent, by `name` or id")
	_ = cmd.RegisterFlagCompletionFunc("agent", d.oneAgent) // the flag exists
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		if agent != "" && !repair {
			return usageErrorf(cmd, "--agent goes with --repair")
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		if repair {
			queued, err := client.RepairDrift(cmd.Context(), agent)
			if err != nil {
				return err
			}
			if output.value == "json" {
				return writeJSON(d.io.out, mustJSON(api.QueuedRepairs{Queued: queued}))
			}
			return writeAll(d.io.out, fmt.Appendf(nil, "%d agents are being brought to what the registry says.\n", queued))
		}
		records := []json.RawMessage{}
		rows := [][]string{{"PROVIDER", "OBJECT", "AGENT", "FIELD", "EXPECTED", "FOUND", "ACTION", "SINCE"}}
		for raw, err := range client.DriftJSON(cmd.Context()) {
			if err != nil {
				return err
			}
			var r api.DriftRecord
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			records = append(records, raw)
			rows = append(rows, []string{
				r.Provider, r.ObjectKind + " " + r.ObjectID, deref(r.AgentID), r.Field, r.Expected, r.Found, string(r.Action), moment(r.FirstSeen),
			})
		}
		if output.value == "json" {
			return writeJSON(d.io.out, mustJSON(map[string]any{"items": records}))
		}
		if len(records) == 0 {
			return writeAll(d.io.out, []byte("No provider differs from the registry.\n"))
		}
		var b bytes.Buffer
		table(&b, rows...)
		return writeAll(d.io.out, b.Bytes())
	})
	return cmd
}
