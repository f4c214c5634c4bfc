package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

// checkCommand asks policy about one call.
func checkCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).checkCommand()
}

func (d *developer) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check AGENT METHOD RESOURCE [PATH]",
		Short: "Say whether an agent may make a call, and why not",
		Long: `Asks the server what policy says when the agent makes the call with a token that
holds all scopes it is registered with. The server decides by the registry's own
policy, as every OPA does.

Exits with 0 when the call is allowed, with 1 when it is denied, and otherwise as
credence agent does.`,
		Example:           "  credence check demo-agent POST hello-skill /say-hello",
		Args:              cobra.RangeArgs(3, 4),
		ValidArgsFunction: d.oneAgent,
	}
	d.bind(cmd)
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		path := ""
		if len(args) == 4 {
			path = args[3]
		}
		raw, age, err := client.AccessJSON(cmd.Context(), args[0], strings.ToUpper(args[1]), args[2], path)
		if err != nil {
			return err
		}
		var decision api.Decision
		if err := json.Unmarshal(raw, &decision); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		if output.value == "json" {
			err = writeJSON(d.io.out, raw)
		} else {
			var b bytes.Buffer
			printDecision(&b, decision)
			err = writeAll(d.io.out, b.Bytes())
		}
		d.warnOfAge(age)
		if err == nil && !decision.Allow {
			return advise(errDenied, "'credence explain' with the same arguments says why, and who can change it.")
		}
		return err
	})
	return cmd
}

// staleAfter is more than passes between two looks of a server at a registry that
// answers.
const staleAfter = 5 * time.Second

var errDenied = errors.New("the call is denied")

// warnOfAge says that an answer may be out of date.
func (d *developer) warnOfAge(age time.Duration) {
	if age > staleAfter {
		fmt.Fprintf(d.io.err, "credence: the server last saw the registry %s ago, so this may be out of date: its database is away\n", age)
	}
}

func printDecision(w io.Writer, d api.Decision) {
	verdict := "denied"
	if d.Allow {
		verdict = "allowed"
	}
	rows := [][]string{{verdict, "at revision " + strconv.FormatInt(d.Revision, 10)}}
	if a := d.Agent; a != nil {
		rows = append(rows, []string{"agent", plain(fmt.Sprintf("%s (%s of %s, in %s)", a.Name, a.AgentType, a.Team, a.Environment))})
	}
	if r := d.Resource; r != nil {
		rows = append(rows, []string{"resource", plain(fmt.Sprintf("%s (%s of %s)", r.Name, r.Type, r.Team))})
	}
	for _, r := range d.Reasons {
		rows = append(rows, []string{"because", plain(fmt.Sprintf("%s  %s/%s", r.Code, r.Tier, r.ID))})
	}
	table(w, rows...)
}
