package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

// resourceCommand is what developers do with resources.
func resourceCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).resourceCommand()
}

func (d *developer) resourceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resource",
		Short: "Put, show and delete what agents call",
		Long: `Puts, shows and deletes resources on a server: the skills, tools, data and services
that agents call. Without --server and CREDENCE_SERVER it is the dev system of this
directory or one above it. It exits as credence agent does.`,
	}
	d.bind(cmd)
	cmd.AddCommand(d.putResourceCommand(), d.getResourceCommand(), d.listResourcesCommand(), d.deleteResourceCommand())
	return cmd
}

// aboutResource says where to look for a resource that is not there.
func aboutResource(err error) error {
	if errors.Is(err, registry.NotFound) {
		return advise(err, "'credence resource list' shows what there is.")
	}
	return err
}

// completeResources completes resources' names from the server. It says nothing
// when that fails: it writes into a half-written command line.
func (d *developer) completeResources(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, err := d.connect(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for r, err := range client.Resources(ctx, apiclient.ResourceFilter{PageSize: 200}) {
		if err != nil {
			break
		}
		if strings.HasPrefix(r.Name, toComplete) && registry.ValidName(r.Name) && !slices.Contains(args, r.Name) {
			names = append(names, cobra.CompletionWithDesc(r.Name, plain(string(r.Type)+" of "+r.Team)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// oneResource is completeResources for commands that take one resource.
func (d *developer) oneResource(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return d.completeResources(cmd, args, toComplete)
}
