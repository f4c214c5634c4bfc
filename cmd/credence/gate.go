package main

import (
	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/policies/gate"
)

// gateCommand checks one module of custom Rego that comes on the standard input. The
// server runs it, in a process of its own for each; it is of no use to people, whose
// command is policy validate.
func gateCommand(io streams) *cobra.Command {
	return &cobra.Command{
		Use:    "gate",
		Short:  "Check custom Rego for the server, in a process with limits",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return gate.Main(cmd.Context(), io.in, io.out)
		},
	}
}
