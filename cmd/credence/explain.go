package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
)

// explainCommand says why.
func explainCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).explainCommand()
}

func (d *developer) explainCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "explain AGENT [METHOD RESOURCE [PATH]]",
		Short: "Say why a call is allowed or denied, or what an agent may do",
		Long: `Says what decides on a call: the platform's checks one by one, what each layer of
policy contributes with the text of its rules, and what would have to change. With an
agent alone: a table of what it may call.

--at asks as if it were another time, of the registry as it is now.

Exits with 0 when the call is allowed, with 1 when it is denied, and otherwise as
credence agent does.`,
		Example: `  credence explain demo-agent POST hello-skill /say-hello
  credence explain demo-agent POST billing-system --at 2026-11-28T03:00:00+01:00
  credence explain demo-agent`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 2 || len(args) > 4 {
				return fmt.Errorf("name an agent, or an agent, a method, a resource and perhaps a path")
			}
			return nil
		},
		ValidArgsFunction: d.oneAgent,
	}
	d.bind(cmd)
	cmd.Flags().StringVar(&at, "at", "", "`time` (RFC 3339) that is asked about; default now")
	noFiles(cmd, "at")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		q := apiclient.Question{Agent: args[0]}
		if len(args) > 1 {
			q.Method, q.Resource = strings.ToUpper(args[1]), args[2]
		}
		if len(args) > 3 {
			q.Path = args[3]
		}
		if at != "" {
			var err error
			if q.Time, err = time.Parse(time.RFC3339, at); err != nil {
				return usageErrorf(cmd, "--at %q is no time such as 2026-11-28T03:00:00+01:00", plain(at))
			}
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		if q.Resource == "" {
			return d.explainAgent(cmd, client, q, output.value)
		}
		return d.explainCall(cmd, client, q, output.value)
	})
	return cmd
}

func (d *developer) explainCall(cmd *cobra.Command, client *apiclient.Client, q apiclient.Question, output string) error {
	raw, age, err := client.ExplainJSON(cmd.Context(), q, "")
	if err != nil {
		return err
	}
	var e api.Explanation
	if err := json.Unmarshal(raw, &e); err != nil || e.Decision == nil {
		return fmt.Errorf("read the server's answer: it explains nothing: %w", err)
	}
	if output == "json" {
		err = writeJSON(d.io.out, raw)
	} else {
		var b bytes.Buffer
		printExplanation(&b, e)
		err = writeAll(d.io.out, b.Bytes())
	}
	d.warnOfAge(age)
	if err == nil && !e.Decision.Allow {
		return errDenied
	}
	return err
}

func printExplanation(w io.Writer, e api.Explanation) {
	printDecision(w, *e.Decision)
	fmt.Fprintln(w)
	rows := [][]string{{"CHECK", "", ""}}
	for _, c := range deref(e.Checks) {
		holds := "holds"
		if !c.Holds {
			holds = c.Code
		}
		rows = append(rows, []string{c.ID, holds, c.Text})
	}
	table(w, rows...)
	layers := deref(e.Layers)
	if len(layers) > 0 {
		fmt.Fprintln(w)
		rows = [][]string{{"LAYER", "SAYS", "RULE", "", ""}}
		for _, l := range layers {
			rows = append(rows, layerRows(l)...)
		}
		table(w, rows...)
	}
	if hints := deref(e.Hints); len(hints) > 0 {
		fmt.Fprintln(w)
		for _, h := range hints {
			fmt.Fprintln(w, plain(h))
		}
	}
}

// layerRows are a row for the layer and one for each of its rules.
func layerRows(l api.ExplainedLayer) [][]string {
	name, says := l.Tier+"/"+l.ID, string(l.Effect)
	switch {
	case deref(l.Missing):
		says = "missing"
	case deref(l.AboveCeiling):
		says = "above_ceiling"
	}
	if len(l.Rules) == 0 {
		return [][]string{{name, says}}
	}
	var rows [][]string
	for _, r := range l.Rules {
		matched := "does not match"
		if r.Matched {
			matched = "matches"
		}
		rows = append(rows, []string{name, says, string(r.Effect) + " " + r.Code, matched, ruleText(r)})
		name, says = "", ""
	}
	return rows
}

// ruleText is what the rule's author says of it, and its conditions.
func ruleText(r api.ExplainedRule) string {
	var parts []string
	if m := deref(r.Message); m != "" {
		parts = append(parts, m)
	}
	if deref(r.Custom) {
		parts = append(parts, "(custom Rego)")
	} else if r.When != nil {
		parts = append(parts, "when "+string(mustJSON(r.When)))
	}
	return strings.Join(parts, " ")
}

// explainAgent prints what an agent may call.
func (d *developer) explainAgent(cmd *cobra.Command, client *apiclient.Client, q apiclient.Question, output string) error {
	items := []json.RawMessage{}
	rows := [][]string{{"RESOURCE", "TYPE", "TEAM", "MAY", "MAY NOT", "BECAUSE"}}
	for cursor := ""; ; {
		raw, age, err := client.ExplainJSON(cmd.Context(), q, cursor)
		if err != nil {
			return err
		}
		var page struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"next_cursor"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		for _, item := range page.Items {
			var r api.ExplainedResource
			if err := json.Unmarshal(item, &r); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			items, rows = append(items, item), append(rows, resourceRow(r))
		}
		if page.NextCursor == "" || page.NextCursor == cursor {
			d.warnOfAge(age)
			break
		}
		cursor = page.NextCursor
	}
	if output == "json" {
		return writeJSON(d.io.out, mustJSON(map[string]any{"items": items}))
	}
	var b bytes.Buffer
	table(&b, rows...)
	return writeAll(d.io.out, b.Bytes())
}

func resourceRow(r api.ExplainedResource) []string {
	var may, mayNot, because []string
	for _, m := range r.Methods {
		if m.Allow {
			may = append(may, m.Method)
			continue
		}
		mayNot = append(mayNot, m.Method)
		for _, reason := range m.Reasons {
			if text := fmt.Sprintf("%s (%s/%s)", reason.Code, reason.Tier, reason.ID); !slices.Contains(because, text) {
				because = append(because, text)
			}
		}
	}
	return []string{
		r.Resource.Name, r.Resource.Type, r.Resource.Team, strings.Join(may, " "), strings.Join(mayNot, " "), strings.Join(because, ", "),
	}
}
