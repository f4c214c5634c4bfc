package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
)

func (d *developer) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List agents",
		Args:  cobra.NoArgs,
	}
	var f apiclient.AgentFilter
	var expiring time.Duration
	flags := cmd.Flags()
	flags.StringVar(&f.Team, "team", "", "only agents of this team")
	flags.StringVar(&f.AgentType, "type", "", "only agents of this type")
	flags.StringVar(&f.Environment, "environment", "", "only agents in this environment")
	flags.StringVar(&f.Capability, "capability", "", "only agents with the capability of this name")
	flags.DurationVar(&expiring, "expires-within", 0, "only agents that expire, or whose credentials do, within this time, such as 168h")
	lifecycle := choiceFlag(cmd, "lifecycle", "", "living agents, or the tombstones of others (needs admin)", "active", "decommissioned")
	output := outputFlag(cmd, "table", "json")
	noFiles(cmd, "team", "type", "environment", "capability", "expires-within")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		f.Lifecycle = lifecycle.value
		if expiring > 0 {
			f.ExpiresBefore = time.Now().Add(expiring)
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		if output.value == "json" {
			return d.listJSON(cmd, client, f)
		}
		return d.listTable(cmd, client, f)
	})
	return cmd
}

func (d *developer) listTable(cmd *cobra.Command, client *apiclient.Client, f apiclient.AgentFilter) error {
	rows := [][]string{{"NAME", "TEAM", "TYPE", "ENVIRONMENT", "STATE", "ID"}}
	for a, err := range client.Agents(cmd.Context(), f) {
		if err != nil {
			return err
		}
		rows = append(rows, []string{a.Name, a.Team, a.AgentType, a.Environment, stateOf(a), a.ID})
	}
	if len(rows) == 1 {
		fmt.Fprintln(d.io.err, "There are no such agents.")
		return nil
	}
	var b bytes.Buffer
	table(&b, rows...)
	return writeAll(d.io.out, b.Bytes())
}

// listJSON prints all pages as one document.
func (d *developer) listJSON(cmd *cobra.Command, client *apiclient.Client, f apiclient.AgentFilter) error {
	list := struct {
		Items []json.RawMessage `json:"items"`
	}{Items: []json.RawMessage{}}
	for raw, err := range client.AgentsJSON(cmd.Context(), f) {
		if err != nil {
			return err
		}
		list.Items = append(list.Items, raw)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the server's strings as they came
	if err := enc.Encode(list); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return writeJSON(d.io.out, b.Bytes())
}

// noFiles keeps the shell from completing file names for flags that take none.
func noFiles(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions) // the flag exists
	}
}
