package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"
)

// streams are what a command reads from and writes to: results to out, and to
// err what is only for the eyes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// lookup finds an environment variable, as os.LookupEnv does.
type lookup func(name string) (string, bool)

// choice is a flag that takes one of a few values, the first unless it is given.
type choice struct {
	allowed []string
	value   string
}

// outputFlag adds -o with these values to the command.
func outputFlag(cmd *cobra.Command, allowed ...string) *choice {
	return choiceFlag(cmd, "output", "o", "how the result is written", allowed...)
}

// choiceFlag adds a flag with these values, which the shell completes.
func choiceFlag(cmd *cobra.Command, name, short, usage string, allowed ...string) *choice {
	c := &choice{allowed: allowed, value: allowed[0]}
	cmd.Flags().VarP(c, name, short, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

func (c *choice) String() string { return c.value }

// Type names the values in the help.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set takes one of the allowed values.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("it is one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = s
	return nil
}

// table writes rows in columns; the first row may be a heading.
func table(w io.Writer, rows ...[]string) {
	var aligned bytes.Buffer
	tw := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				_, _ = tw.Write([]byte{'\t'}) // a buffer takes everything
			}
			_, _ = io.WriteString(tw, plain(cell))
		}
		_, _ = tw.Write([]byte{'\n'})
	}
	_ = tw.Flush()
	for line := range strings.Lines(aligned.String()) {
		_, _ = io.WriteString(w, strings.TrimRight(line, " \n")+"\n")
	}
}

// plain makes text of others harmless for a terminal: control characters, which
// move the cursor or worse, and those that reorder text are written as escapes.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// indented is plain text of several lines, all but the first indented.
func indented(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = plain(strings.TrimRight(line, "\r"))
	}
	return strings.Join(lines, "\n  ")
}

// writeJSON writes a document as it came, indented. What a terminal would obey or
// hide is escaped, which leaves the document the same.
func writeJSON(w io.Writer, doc json.RawMessage) error {
	var indented, b bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(doc), "", "  "); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, r := range indented.String() {
		if r >= 0x7f && unprintable(r) {
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('\n')
	return writeAll(w, b.Bytes())
}

// writeAll writes the result of a command at once: a full disk or a closed pipe
// is an error, and never half a secret.
func writeAll(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
