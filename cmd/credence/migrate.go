package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/reconcile/jobs"
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
	role := cmd.Flags().String("server-role", "", "database `role` of the servers: it is granted what they need, and no more; it must not own the tables")
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
		taken, err := migrate(cmd.Context(), dsn)
		if err != nil {
			return err
		}
		for _, m := range taken {
			fmt.Fprintf(std.out, "applied %s\n", m.Name)
		}
		fmt.Fprintf(std.out, "The schema is up to date (%d applied).\n", len(taken))
		if err := grant(cmd.Context(), dsn, *role, std.out); err != nil {
			return err
		}
		return activatePolicy(cmd.Context(), cfg, *force, std.out)
	})
	return cmd
}

// migrate brings the schema up to date, River's tables first: a schema that is up
// to date says that those are, too.
func migrate(ctx context.Context, dsn string) ([]postgres.Migration, error) {
	if _, err := jobs.Migrate(ctx, dsn); err != nil {
		return nil, err
	}
	return postgres.Migrate(ctx, dsn)
}

// grant lets the servers' role do what they need; "" is none.
func grant(ctx context.Context, dsn, role string, out io.Writer) error {
	if role == "" {
		return nil
	}
	if err := postgres.GrantServer(ctx, dsn, role); err != nil {
		return err
	}
	if err := jobs.GrantServer(ctx, dsn, role); err != nil {
		return err
	}
	fmt.Fprintf(out, "The role %s may do what a server needs.\n", role)
	return nil
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
