package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

func migrateCommand(env lookup, std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date, and activate the platform policy",
		Args:  cobra.NoArgs,
	}
	const database = "CREDENCE_DATABASE_URL"
	addServerFlags(cmd, database)
	force := cmd.Flags().Bool("activate-policy", false, "activate this binary's platform policy even over a newer one")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
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
			fmt.Fprintf(std.out, "applied %s\n", m.Name)
		}
		fmt.Fprintf(std.out, "The schema is up to date (%d applied).\n", len(taken))
		return activatePolicy(cmd.Context(), cfg, *force, std.out)
	})
	return cmd
}

// activatePolicy makes this binary's platform policy the registry's.
func activatePolicy(ctx context.Context, cfg config.Server, force bool, out io.Writer) error {
	pool, err := postgres.Open(ctx, cfg.DatabaseURL.Value, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	platform := policy.Platform()
	activated, err := postgres.NewStore(pool).ActivatePolicy(ctx, platform, force, registry.Actor{Subject: "credence migrate"})
	switch e, _ := registry.AsError(err); {
	case e != nil && e.Code == "policy_is_newer":
		fmt.Fprintf(out, "The registry's platform policy was left alone: %s. --activate-policy takes it back.\n", e.Message)
		return nil
	case err != nil:
		return err
	case activated:
		fmt.Fprintf(out, "The platform policy of version %d is active now (%s).\n", platform.Version, platform.Hash[:8])
	default:
		fmt.Fprintf(out, "The platform policy of version %d was active already (%s).\n", platform.Version, platform.Hash[:8])
	}
	return nil
}
