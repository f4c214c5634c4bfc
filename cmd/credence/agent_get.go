package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

func (d *developer) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get NAME|ID",
		Short:             "Show an agent, and how far its provisioning is",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneAgent,
	}
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		raw, err := client.AgentJSON(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if output.value == "json" {
			return writeJSON(d.io.out, raw)
		}
		var a api.Agent
		if err := json.Unmarshal(raw, &a); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		var b bytes.Buffer
		printAgent(&b, a)
		return writeAll(d.io.out, b.Bytes())
	})
	return cmd
}
