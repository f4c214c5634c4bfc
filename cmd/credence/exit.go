package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

// The exit codes of every command. Scripts rely on them; they never change.
const (
	exitOK          = 0 // it is done
	exitFailure     = 1 // anything that is not below
	exitUsage       = 2 // wrong flags or arguments, or no server or token given
	exitNotFound    = 3 // there is nothing of that name
	exitDenied      = 4 // no valid token, or one that may not
	exitConflict    = 5 // the name is taken, or the state is another one
	exitRefused     = 6 // the input is wrong; the same input never works
	exitUnavailable = 7 // the server or what it needs is away; it may work later
)

// exitCodes gives each kind of failure its exit code.
var exitCodes = map[registry.Kind]int{
	registry.NotFound:             exitNotFound,
	registry.Unauthenticated:      exitDenied,
	registry.Forbidden:            exitDenied,
	registry.Conflict:             exitConflict,
	registry.PreconditionFailed:   exitConflict,
	registry.PreconditionRequired: exitConflict,
	registry.Malformed:            exitRefused,
	registry.TooLarge:             exitRefused,
	registry.UnsupportedMedia:     exitRefused,
	registry.Invalid:              exitRefused,
	registry.Gone:                 exitConflict,
	registry.TooManyRequests:      exitUnavailable,
	registry.Refused:              exitFailure,
	registry.Unavailable:          exitUnavailable,
}

// exitCode returns the exit code of a command that returned err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return cmp.Or(exitCodes[kindOf(err)], exitFailure)
}

// kindOf returns the kind of the outermost error that has one.
func kindOf(err error) registry.Kind {
	if refused, ok := errors.AsType[interface {
		error
		Kind() registry.Kind
	}](err); ok {
		return refused.Kind()
	}
	if e, ok := registry.AsError(err); ok {
		return e.Kind
	}
	return ""
}

// usageError is a command that was written wrong.
type usageError struct {
	err     error
	command string // whose help says more; "" for none
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), command: cmd.CommandPath()}
}

// withUsageErrors makes wrong flags, those that are missing, arguments and
// subcommands of cmd, and of all below it, usage errors. A command that only groups others shows its help;
// cobra would do so, and exit with 0, for a subcommand that does not exist.
func withUsageErrors(cmd *cobra.Command) *cobra.Command {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageErrorf(cmd, "%w", err) })
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.RunE = showHelp
		cmd.Args = cobra.ArbitraryArgs
		cmd.SuggestionsMinimumDistance = 2
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(check(cmd, args), cmd.ValidateRequiredFlags()); err != nil {
				return usageErrorf(cmd, "%w", err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		withUsageErrors(sub)
	}
	return cmd
}

func showHelp(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageErrorf(cmd, "there is no command %q; did you mean %q?", args[0], near[0])
	}
	return usageErrorf(cmd, "there is no command %q", args[0])
}

// interruptible tells an interrupted command from one that has done its work:
// what the other side makes of the request that was under way is not known.
func interruptible(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			return errors.New("interrupted; what was under way may have happened")
		}
		return err
	}
}

// advised is an error with what the user can do about it.
type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string { return e.err.Error() }
func (e *advised) Unwrap() error { return e.err }

// advise says what the user can do about err.
func advise(err error, format string, args ...any) error {
	return &advised{err: err, advice: fmt.Sprintf(format, args...)}
}

// printError tells the user what went wrong: one line, each fault of the
// document with its pointer, the id under which the server's log has the
// request, and what to do.
func printError(w io.Writer, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "credence: %s\n", indented(err.Error()))
	if p, ok := errors.AsType[*apiclient.Problem](err); ok {
		for _, f := range p.Errors {
			fmt.Fprintf(&b, "  %s: %s\n", plain(cmp.Or(f.Pointer, "(document)")), plain(f.Detail))
		}
		if p.RequestID != "" {
			fmt.Fprintf(&b, "Request id: %s\n", plain(p.RequestID))
		}
	} else if e, ok := registry.AsError(err); ok {
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "  %s: %s\n", plain(cmp.Or(f.Pointer, "(document)")), plain(f.Detail))
		}
	}
	if advice := adviceOn(err); advice != "" {
		fmt.Fprintln(&b, indented(advice))
	}
	_, _ = io.WriteString(w, b.String()) // nobody is left to tell
}

// adviceOn returns what the user can do about err: what the command knew, or
// else what its kind suggests.
func adviceOn(err error) string {
	if a, ok := errors.AsType[*advised](err); ok {
		return a.advice
	}
	if u, ok := errors.AsType[*usageError](err); ok && u.command != "" {
		return "Run '" + u.command + " --help' for usage."
	}
	p, ok := errors.AsType[*apiclient.Problem](err)
	switch {
	case !ok:
		return ""
	case p.RetryAfter > 0:
		return fmt.Sprintf("Try again in %s.", p.RetryAfter)
	case p.Kind() == registry.Unauthenticated:
		return "Give a current token of the control plane's audience in CREDENCE_TOKEN or with --token-file; a dev system's own end with it."
	case p.Kind() == registry.Forbidden:
		return "Ask an admin, or use a token that may; in a dev system, --as admin may do all."
	case p.Kind() == registry.NotFound:
		return "'credence agent list' shows what there is."
	case p.Status >= 500 && p.RequestID != "":
		return "The server's log has the reason under this request id."
	}
	return ""
}
