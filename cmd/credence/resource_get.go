package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

func (d *developer) getResourceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get NAME",
		Short:             "Show a resource",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneResource,
	}
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		answer, err := client.ResourceJSON(cmd.Context(), args[0])
		if err != nil {
			return aboutResource(err)
		}
		return d.presentResource(answer, output.value)
	})
	return cmd
}

// presentResource prints the server's document of a resource.
func (d *developer) presentResource(answer json.RawMessage, output string) error {
	if output == "json" {
		return writeJSON(d.io.out, answer)
	}
	var r api.Resource
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	var b bytes.Buffer
	printResource(&b, r)
	return writeAll(d.io.out, b.Bytes())
}
