package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/local"
)

// devFlags are the ports and places of a dev system. A port of 0 picks a free
// one, so that two systems can run side by side.
type devFlags struct {
	tools                            string
	apiPort, metricsPort, issuerPort int
	vaultPort, postgresPort, opaPort int
	detach                           bool
	detached                         bool // by a process that was told to detach
}

func devCommand(io streams) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, with no account anywhere",
		Long: `Runs Credence with everything it needs on this machine: a private PostgreSQL,
an emulated Auth0 tenant, OpenBao in dev mode and OPA, all on loopback. It prepares
them, registers a demo agent through the API and shows what became of it and what
OPA says of its calls. It runs until Ctrl-C, and leaves no process behind however
it ends.

State is in .credence/ of the working directory and begins empty at each start.
Scripts find URLs and tokens in .credence/dev.json once "ready" is there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.detach {
				return startDetached(cmd.Context(), io)
			}
			// Ctrl-C is what ends a dev system; a second one ends a stuck one.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return runDev(ctx, f, io)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tools, "tools", "", "directory that make tools filled (default: the nearest .tools upward)")
	flags.IntVar(&f.apiPort, "port", 8080, "port of the API; 0 picks a free one")
	flags.IntVar(&f.metricsPort, "metrics-port", 9090, "port of the metrics; 0 picks a free one")
	flags.IntVar(&f.issuerPort, "issuer-port", 8085, "port of the emulated Auth0 tenant; 0 picks a free one")
	flags.IntVar(&f.vaultPort, "vault-port", 8200, "port of OpenBao, which uses the next one too; 0 picks free ones")
	flags.IntVar(&f.postgresPort, "postgres-port", 54320, "port of PostgreSQL; 0 picks a free one")
	flags.IntVar(&f.opaPort, "opa-port", 8181, "port of OPA; 0 picks a free one")
	flags.BoolVar(&f.detach, "detach", false, "return once everything is up, and leave it running")
	flags.BoolVar(&f.detached, "detached", false, "")
	_ = flags.MarkHidden("detached") // the flag exists; dev --detach gives it
	cmd.AddCommand(devStatusCommand(io), devStopCommand(io))
	return cmd
}

func devStatusCommand(io streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether a dev system runs in this directory, and where",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			state := devStateIn(".")
			running, pid, err := state.holder()
			if err != nil {
				return err
			}
			var info devInfo
			if running {
				info, _ = state.read() // not there yet while it starts
			}
			if asJSON {
				return json.NewEncoder(io.out).Encode(map[string]any{
					"running": running, "pid": pid, "ready": info.Ready, "api": info.API, "issuer": info.Issuer, "vault": info.Vault.Address, "opa": info.OPA,
				})
			}
			if !running {
				return errors.New("no dev system runs in this directory; start one with make dev, or credence dev --detach")
			}
			tw := tabwriter.NewWriter(io.out, 0, 4, 2, ' ', 0)
			fmt.Fprintf(tw, "pid\t%d\nready\t%t\n", pid, info.Ready)
			if info.Ready {
				fmt.Fprintf(tw, "API\t%s\nissuer\t%s\nVault\t%s\nOPA\t%s\ntokens\t%s\n", info.API, info.Issuer, info.Vault.Address, info.OPA, state.infoFile())
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; always exits 0")
	return cmd
}

func devStopCommand(io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the dev system of this directory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state := devStateIn(".")
			running, pid, err := state.holder()
			if err != nil {
				return err
			}
			if !running {
				fmt.Fprintln(io.out, "No dev system runs in this directory.")
				return nil
			}
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				return fmt.Errorf("stop process %d: %w", pid, err)
			}
			if err := state.waitFree(cmd.Context(), time.Minute); err != nil {
				return fmt.Errorf("process %d has not ended: %w", pid, err)
			}
			fmt.Fprintln(io.out, "Stopped.")
			return nil
		},
	}
}

// portFor returns the port that was asked for, after seeing that it is free, or
// a free one.
func portFor(asked int, flag string) (int, error) {
	if asked == 0 {
		return local.FreePort()
	}
	return asked, local.CheckPort(asked, flag)
}
