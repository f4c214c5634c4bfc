package main

import (
	"github.com/spf13/cobra"
)

func (d *developer) putResourceCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "put NAME -f FILE",
		Short: "Create or replace a resource",
		Long: `Creates a resource as a JSON or YAML file describes it, or replaces the one that is
there: what the file leaves out gets its default. Each endpoint must be one that its
environment allows.`,
		Example: `  credence resource put hello-skill -f hello-skill.yaml
  generate-resource | credence resource put hello-skill -f -`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneResource,
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON or YAML `file` that describes the resource; - is the standard input")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		if file == "" {
			return usageErrorf(cmd, "describe the resource with -f")
		}
		document, err := readDocumentFile(file, d.io.in)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		answer, err := client.PutResourceJSON(cmd.Context(), args[0], document)
		if err != nil {
			return err
		}
		return d.presentResource(answer, output.value)
	})
	return cmd
}
