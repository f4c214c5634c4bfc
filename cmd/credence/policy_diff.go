package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (d *developer) diffPolicyCommand() *cobra.Command {
	var dir policyDir
	cmd := &cobra.Command{
		Use:   "diff [TIER/ID…]",
		Short: "Show what push would change",
		Long: `Shows how the policies that are named, or all in the directory, differ from what the
server has: - is the server's, + is the file's.

Exits with 0 when nothing differs and with 1 when something does.`,
		ValidArgsFunction: d.completePolicies,
	}
	dir.bind(cmd)
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		files, err := dir.chosen(cmd, names)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		differing := 0
		for _, f := range files {
			there, _, err := serverPolicy(cmd, client, f.key)
			if err != nil {
				return aboutPolicy(f.key, err)
			}
			if sections := policyDiff(there, f); len(sections) > 0 {
				differing++
				printDiff(&b, f.key.String(), sections)
			}
		}
		if err := writeAll(d.io.out, b.Bytes()); err != nil || differing == 0 {
			return err
		}
		return fmt.Errorf("%d of %d policies differ from the server's", differing, len(files))
	})
	return cmd
}

// diffSection is one text of a policy in which two states differ.
type diffSection struct {
	name  string
	lines []string // each begins with a blank, - or +
}

// policyDiff is how the policy in files differs from the one that is there.
func policyDiff(there, file policyFile) []diffSection {
	var sections []diffSection
	add := func(name, old, now string) {
		if old != now {
			sections = append(sections, diffSection{name, diffLines(splitLines(old), splitLines(now))})
		}
	}
	old, _ := normal(there).yaml() // what cannot be written differs from everything
	now, _ := normal(file).yaml()
	add("document", old, now)
	add("rego", there.text("rego"), file.text("rego"))
	add("tests", there.text("tests"), file.text("tests"))
	return sections
}

// normal is the policy without what says nothing: absent and empty are the same.
func normal(f policyFile) policyFile {
	out := policyFile{key: f.key, fields: map[string]json.RawMessage{}}
	for member, raw := range f.fields {
		if s := strings.Join(strings.Fields(string(raw)), ""); s == "null" || s == "false" || s == "[]" && member == "rules" {
			continue
		}
		out.fields[member] = canonical(raw)
	}
	return out
}

// canonical is the same JSON with its members sorted.
func canonical(raw json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	return mustJSON(v)
}

func printDiff(w io.Writer, name string, sections []diffSection) {
	for _, s := range sections {
		fmt.Fprintf(w, "%s (%s)\n", name, s.name)
		for _, line := range nearChanges(s.lines) {
			fmt.Fprintln(w, plain(line))
		}
	}
}

// nearChanges are the changed lines with a few of those around them.
func nearChanges(lines []string) []string {
	const around = 3
	var shown []string
	skipped := false
	for i, line := range lines {
		near := slices.ContainsFunc(lines[max(0, i-around):min(len(lines), i+around+1)], func(l string) bool { return l[0] != ' ' })
		if near {
			if skipped {
				shown = append(shown, "  …")
			}
			shown = append(shown, line)
		}
		skipped = !near
	}
	return shown
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// mostCompared bounds the work of a comparison: texts with more lines that differ
// are shown as one that goes and one that comes.
const mostCompared = 4 << 20

// diffLines are the lines of both texts, those that only one has with - or + in
// front: the longest common subsequence stays.
func diffLines(old, now []string) []string {
	var before, after []string
	for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
		before, old, now = append(before, "  "+old[0]), old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
		after, old, now = append(after, "  "+old[len(old)-1]), old[:len(old)-1], now[:len(now)-1]
	}
	slices.Reverse(after)
	return slices.Concat(before, diffMiddle(old, now), after)
}

func diffMiddle(old, now []string) []string {
	var lines []string
	if len(old)*len(now) > mostCompared {
		for _, line := range old {
			lines = append(lines, "- "+line)
		}
		for _, line := range now {
			lines = append(lines, "+ "+line)
		}
		return lines
	}
	// common[i][j] is how many lines old[i:] and now[j:] have in common.
	common := make([][]int, len(old)+1)
	for i := range common {
		common[i] = make([]int, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			lines = append(lines, "  "+old[i])
			i++
			j++
		case j == len(now) || i < len(old) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+old[i])
			i++
		default:
			lines = append(lines, "+ "+now[j])
			j++
		}
	}
	return lines
}
