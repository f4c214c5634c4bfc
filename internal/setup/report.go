// Package setup says what preparing another system for Credence did, or would
// do. The adapters (auth0, vault) do the preparing and return a Report; the
// commands print it.
package setup

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Action is what happened to one object.
type Action string

// The actions.
const (
	Unchanged Action = "unchanged" // it was as it should be
	Created   Action = "created"
	Updated   Action = "updated"
)

// Change is one object of the other system.
type Change struct {
	Object string // such as "resource server https://mcp.example.com/"
	Action Action
	Detail string // what differed, for people; never a secret
}

// Report lists what was looked at, in order. With DryRun set nothing was
// written: the actions say what would have been done.
type Report struct {
	System  string // such as "auth0"
	DryRun  bool
	Changes []Change
}

// Add appends one object.
func (r *Report) Add(object string, action Action, detail string) {
	r.Changes = append(r.Changes, Change{Object: object, Action: action, Detail: detail})
}

// Changed reports whether anything was, or would be, written.
func (r *Report) Changed() bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Action != Unchanged })
}

// Print writes the report as a table with a closing sentence.
func (r *Report) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range r.Changes {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", c.Action, c.Object, c.Detail)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	closing := "is prepared."
	switch {
	case !r.Changed():
		closing = "was already prepared: nothing to change."
	case r.DryRun:
		closing = "would be changed as above (dry run: nothing was written)."
	}
	_, err := fmt.Fprintf(w, "%s %s\n", r.System, closing)
	return err
}
