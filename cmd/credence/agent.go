package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

// agentCommand is what developers do with agents.
func agentCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).agentCommand()
}

func (d *developer) agentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Register, show, change and delete agents",
		Long: `Registers, shows, changes and deletes agents on a server. Without --server and
CREDENCE_SERVER it is the dev system of this directory or one above it.

Exit codes: 0 done · 1 failed, a provider's refusal too · 2 wrong usage ·
3 not found · 4 denied · 5 conflict · 6 the input is wrong ·
7 unavailable, may work later`,
	}
	d.bind(cmd)
	cmd.AddCommand(
		d.registerCommand(), d.adoptCommand(), d.getCommand(), d.listCommand(), d.changeCommand(), d.rotateCommand(),
		d.suspendCommand(), d.resumeCommand(), d.transferCommand(), d.deleteCommand(),
	)
	return cmd
}

// completionTimeout is how long a shell waits for names.
const completionTimeout = 2 * time.Second

// completeAgents completes agents' names from the server. It says nothing when
// that fails: it writes into a half-written command line.
func (d *developer) completeAgents(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, err := d.connect(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for a, err := range client.Agents(ctx, apiclient.AgentFilter{PageSize: 200}) {
		if err != nil {
			break
		}
		fits := len(a.Name) >= len(toComplete) && a.Name[:len(toComplete)] == toComplete
		if fits && registry.ValidName(a.Name) && !slices.Contains(args, a.Name) {
			names = append(names, cobra.CompletionWithDesc(a.Name, plain(a.AgentType+" of "+a.Team+" in "+a.Environment)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// oneAgent is completeAgents for commands that take one agent.
func (d *developer) oneAgent(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return d.completeAgents(cmd, args, toComplete)
}
