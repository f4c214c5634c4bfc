package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
)

func (d *developer) listResourcesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List resources",
		Args:  cobra.NoArgs,
	}
	var f apiclient.ResourceFilter
	flags := cmd.Flags()
	flags.StringVar(&f.Team, "team", "", "only resources of this team")
	flags.StringVar(&f.Environment, "environment", "", "only resources that are deployed in this environment")
	flags.StringVar(&f.Operation, "operation", "", "only resources with the operation of this name")
	flags.StringVarP(&f.Q, "query", "q", "", "only resources with this text in name or description")
	kind := &choice{allowed: []string{"skill", "tool", "data_source", "data_sink", "service"}}
	flags.Var(kind, "type", "only resources of this type")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(kind.allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	output := outputFlag(cmd, "table", "json")
	noFiles(cmd, "team", "environment", "operation", "query")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		f.Type = kind.value
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		if output.value == "json" {
			return d.listResourcesJSON(cmd, client, f)
		}
		return d.listResourcesTable(cmd, client, f)
	})
	return cmd
}

func (d *developer) listResourcesTable(cmd *cobra.Command, client *apiclient.Client, f apiclient.ResourceFilter) error {
	rows := [][]string{{"NAME", "TYPE", "TEAM", "DATA", "VISIBILITY", "ENVIRONMENTS"}}
	for r, err := range client.Resources(cmd.Context(), f) {
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			r.Name, string(r.Type), r.Team, string(r.DataClassification), string(r.Access.Visibility), strings.Join(environmentsOf(r), ", "),
		})
	}
	if len(rows) == 1 {
		fmt.Fprintln(d.io.err, "There are no such resources.")
		return nil
	}
	var b bytes.Buffer
	table(&b, rows...)
	return writeAll(d.io.out, b.Bytes())
}

// listResourcesJSON prints all pages as one document.
func (d *developer) listResourcesJSON(cmd *cobra.Command, client *apiclient.Client, f apiclient.ResourceFilter) error {
	items := []json.RawMessage{}
	for raw, err := range client.ResourcesJSON(cmd.Context(), f) {
		if err != nil {
			return err
		}
		items = append(items, raw)
	}
	return writeJSON(d.io.out, mustJSON(map[string]any{"items": items}))
}
