// Command withpostgres runs a command beside a private PostgreSQL, whose address
// the command finds in the environment (testdb.EnvURL). `make test` wraps go test
// in it, so that all packages share one server:
//
//	go run ./internal/testdb/withpostgres go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/credenceproject/credence/internal/local"
	"github.com/credenceproject/credence/internal/testdb"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
	}
	os.Exit(code)
}

// run returns the command's exit code, or 1 with an error of our own.
func run(args []string) (code int, err error) {
	if len(args) == 0 {
		return 1, errors.New("usage: withpostgres command [argument ...]")
	}
	// The terminal sends Ctrl-C to the command too: we wait for it and clear up.
	// signal.Ignore would make the command ignore it as well.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	tools, err := local.FindTools("")
	if err != nil {
		return 1, err
	}
	server, err := local.StartPostgres(ctx, local.PostgresOptions{Tools: tools, Port: local.SocketOnly})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), testdb.EnvURL+"="+server.DSN("postgres"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, fmt.Errorf("run %s: %w", args[0], err)
	}
	return 0, nil
}
