package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
)

// auditCommand shows who did what.
func auditCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).auditCommand()
}

func (d *developer) auditCommand() *cobra.Command {
	var f apiclient.AuditFilter
	var since, until string
	var most int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what, the newest first",
		Long: `Shows the audit log, the newest events first: who did what, from where, to which
object, and how it went. An intent is written before a provider is called, its outcome
after. Without admin it shows what concerns your own teams.`,
		Example: `  credence audit --agent support-triage
  credence audit --action agent.suspend --since 24h -o json`,
		Args: cobra.NoArgs,
	}
	d.bind(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.Agent, "agent", "", "only events of this agent: `name` at the time, or id")
	flags.StringVar(&f.Actor, "actor", "", "only what this `subject` did")
	flags.StringVar(&f.Action, "action", "", "only this `action`, such as agent.register")
	flags.StringVar(&since, "since", "", "only events from this `time` on, such as 24h ago or 2026-11-25T08:00:00Z")
	flags.StringVar(&until, "until", "", "only events before this `time`")
	flags.IntVar(&most, "limit", 50, "show at most this many; 0 shows all")
	noFiles(cmd, "agent", "actor", "action", "since", "until", "limit")
	_ = cmd.RegisterFlagCompletionFunc("agent", d.oneAgent) // the flag exists
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		var err error
		if f.From, err = pastTime(since, time.Now()); err != nil {
			return usageErrorf(cmd, "--since: %v", err)
		}
		if f.Until, err = pastTime(until, time.Now()); err != nil {
			return usageErrorf(cmd, "--until: %v", err)
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		return d.printAudit(cmd, client, f, most, output.value)
	})
	return cmd
}

func (d *developer) printAudit(cmd *cobra.Command, client *apiclient.Client, f apiclient.AuditFilter, most int, output string) error {
	var events []json.RawMessage
	rows := [][]string{{"AT", "ACTOR", "ACTION", "OUTCOME", "OBJECT", "TEAM", "DETAIL"}}
	for raw, err := range client.AuditJSON(cmd.Context(), f) {
		if err != nil {
			return err
		}
		var e api.AuditEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		events = append(events, raw)
		rows = append(rows, []string{moment(e.At), e.Actor, e.Action, string(e.Outcome), object(e.Object), deref(e.Team), detail(e)})
		if most > 0 && len(events) == most {
			break
		}
	}
	if output == "json" {
		return writeJSON(d.io.out, mustJSON(map[string]any{"items": append([]json.RawMessage{}, events...)}))
	}
	if len(events) == 0 {
		fmt.Fprintln(d.io.err, "There are no such events.")
		return nil
	}
	var b bytes.Buffer
	table(&b, rows...)
	return writeAll(d.io.out, b.Bytes())
}

func object(o api.AuditObject) string {
	if name := deref(o.Name); name != "" {
		return o.Kind + " " + name
	}
	return strings.TrimSpace(o.Kind + " " + deref(o.ID))
}

// detail is what the event says in words, or else which fields it changed.
func detail(e api.AuditEvent) string {
	if text := deref(e.Detail); text != "" {
		return text
	}
	if e.After == nil || e.Before == nil {
		return ""
	}
	return strings.Join(changedMembers(*e.Before, *e.After), ", ")
}

// changedMembers are the names of the members in which two documents differ,
// sorted.
func changedMembers(before, after json.RawMessage) []string {
	var was, is map[string]json.RawMessage
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil {
		return nil
	}
	changed := map[string]bool{}
	for name, value := range is {
		changed[name] = !bytes.Equal(value, was[name])
	}
	for name := range was {
		if _, stays := is[name]; !stays {
			changed[name] = true
		}
	}
	maps.DeleteFunc(changed, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(changed))
}

// pastTime reads a moment, or how long before now it was; "" is the zero time.
func pastTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("it is a time such as 2026-11-25T08:00:00Z, or how long ago, such as 24h")
	}
	return at, nil
}
