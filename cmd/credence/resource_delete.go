package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (d *developer) deleteResourceCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME…",
		Short: "Delete resources",
		Long: `Deletes resources: calls of them are denied as soon as policy engines have the
change. If any name is unknown nothing is deleted. On a terminal it asks first.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: d.completeResources,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		doomed := make([]named, len(names)) // of resources the name is the identity
		for i, name := range names {
			r, err := client.Resource(cmd.Context(), name)
			if err != nil {
				return aboutResource(fmt.Errorf("nothing was deleted: %s: %w", plain(name), err))
			}
			doomed[i] = named{id: name, place: ", a " + string(r.Type) + " of " + r.Team}
		}
		if !yes && d.terminal(d.io.in) {
			if err := d.confirm(doomed); err != nil {
				return err
			}
		}
		for _, name := range names {
			if err := client.DeleteResource(cmd.Context(), name); err != nil {
				return fmt.Errorf("delete %s: %w", name, err)
			}
			if err := writeAll(d.io.out, []byte("deleted "+name+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}
