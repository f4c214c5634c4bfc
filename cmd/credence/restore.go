package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/snapshot"
)

func restoreCommand(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Tell every replica and OPA that the database was restored",
		Long: `Run it once after the registry's database was restored from a backup or copied,
before the servers start again. It renews the registry's epoch: what was handed
out before is then never taken for what comes after, even where the numbers are
the same.`,
		Args: cobra.NoArgs,
	}
	const database = "CREDENCE_DATABASE_URL"
	addServerFlags(cmd, database)
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.LoadPart(givenFlags(cmd.Flags()), config.Source(env), database)
		if err != nil {
			return err
		}
		pool, err := postgres.Open(cmd.Context(), cfg.DatabaseURL.Value, 1)
		if err != nil {
			return err
		}
		defer pool.Close()
		store := postgres.NewStore(pool)
		if err := store.CheckSchema(cmd.Context()); err != nil {
			return err
		}
		head, err := store.RenewEpoch(cmd.Context(), "", snapshot.NewEpoch(), postgres.Restorer)
		if err != nil {
			return err
		}
		fmt.Fprintf(io.out, "The registry is at revision %d of the new epoch %s.\n", head.Revision, head.Epoch)
		return nil
	})
	return cmd
}
