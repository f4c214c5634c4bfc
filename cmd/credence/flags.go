package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/credenceproject/credence/internal/config"
)

// addServerFlags gives the command a flag for each setting of the server, or for
// those with the given variables' names.
func addServerFlags(cmd *cobra.Command, only ...string) {
	for _, s := range config.Settings() {
		switch {
		case len(only) > 0 && !slices.Contains(only, s.Env):
		case s.Secret:
			cmd.Flags().String(s.Flag+"-file", "", s.Usage+"; in this file ("+s.Env+"_FILE, or "+s.Env+")")
		default:
			cmd.Flags().String(s.Flag, s.Default, s.Usage+" ("+s.Env+")")
		}
	}
}

// givenFlags looks up the flags that the user gave; a default is not given.
func givenFlags(flags *pflag.FlagSet) config.Source {
	return func(name string) (string, bool) {
		f := flags.Lookup(name)
		if f == nil || !f.Changed {
			return "", false
		}
		return f.Value.String(), true
	}
}
