// Command credence registers AI agents: one call gives an agent its identity,
// its secrets and its policy.
//
//	credence server          serves the API
//	credence migrate         brings the database schema and the platform policy up to date
//	credence restore         tells everybody that the database was restored
//	credence setup auth0     prepares a tenant
//	credence setup vault     prepares a Vault or OpenBao
//	credence dev             runs everything on this machine
//	credence agent, resource, policy, check, explain, bundle, audit, drift, token
//	                         what developers do with a server
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	disableCoreDumps()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	io := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	if err := run(ctx, os.Args[1:], os.LookupEnv, io); err != nil {
		printError(io.err, err)
		os.Exit(exitCode(err))
	}
}

// run is main without the process: tests call it with their own arguments,
// environment and streams.
func run(ctx context.Context, args []string, env lookup, io streams) error {
	root := newRoot(env, io)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func newRoot(env lookup, io streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "credence",
		Short:         "Register AI agents: identity, secrets and policy in one call",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.AddCommand(
		serverCommand(env, io), migrateCommand(env, io), restoreCommand(env, io), setupCommand(env, io), devCommand(io),
		agentCommand(io, env), resourceCommand(io, env), checkCommand(io, env), explainCommand(io, env), policyCommand(io, env), bundleCommand(io, env),
		auditCommand(io, env), driftCommand(io, env), tokenCommand(io, env), healthcheckCommand(io, env),
		gateCommand(io),
	)
	return withUsageErrors(root)
}

// version is the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}

// disableCoreDumps keeps a crash from writing our memory, with the secrets in
// it, to a disk (invariant D2).
func disableCoreDumps() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // lowering a limit is always allowed
}
