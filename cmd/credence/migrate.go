package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/postgres"
)

func migrateCommand(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Args:  cobra.NoArgs,
	}
	const database = "CREDENCE_DATABASE_URL"
	addServerFlags(cmd, database)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.LoadPart(givenFlags(cmd.Flags()), config.Source(env), database)
		if err != nil {
			return err
		}
		dsn, err := cfg.DatabaseURL.Value()
		if err != nil {
			return err
		}
		taken, err := postgres.Migrate(cmd.Context(), dsn)
		if err != nil {
			return err
		}
		for _, m := range taken {
			fmt.Fprintf(io.out, "applied %s\n", m.Name)
		}
		fmt.Fprintf(io.out, "The schema is up to date (%d applied).\n", len(taken))
		return nil
	}
	return cmd
}
