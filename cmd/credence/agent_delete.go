package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) deleteCommand() *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "delete NAME|ID…",
		Short: "Decommission agents, for good",
		Long: `Decommissions agents: each is denied at once, then refused by the secret store,
then without an identity. Nothing brings it back, and its name is free at once.

A name is looked up first and the agent deleted by its id, so that a repetition
never hits the name's next holder. If any name is unknown nothing is deleted. On a
terminal it asks first.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: d.completeAgents,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		doomed, err := find(cmd.Context(), client, args)
		if err != nil {
			return err
		}
		if dryRun {
			return d.rehearseDelete(cmd.Context(), client, doomed)
		}
		if !yes && d.terminal(d.io.in) {
			if err := d.confirm(doomed); err != nil {
				return err
			}
		}
		for _, a := range doomed {
			done, err := deleteOne(cmd.Context(), client, a)
			if err != nil {
				return err
			}
			if err := writeAll(d.io.out, []byte(done+" "+a.String()+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// named is an agent that was named on the command line.
type named struct{ id, name, place string }

// String shows the agent; of one that was given by its id, nothing more is known.
func (n named) String() string {
	if n.name == "" {
		return n.id
	}
	return plain(n.name + " (" + n.id + ")")
}

// find looks up every name before anything is deleted. Ids stay as they are:
// repeating a delete by id must work though the agent is gone.
func find(ctx context.Context, client *apiclient.Client, refs []string) ([]named, error) {
	found := make([]named, 0, len(refs))
	for _, ref := range refs {
		if registry.IsUUID(ref) {
			found = append(found, named{id: ref})
			continue
		}
		a, err := client.Agent(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("nothing was deleted: %s: %w", plain(ref), err)
		}
		if !registry.IsUUID(a.ID) {
			return nil, fmt.Errorf("nothing was deleted: the server's answer for %s has no id", plain(ref))
		}
		found = append(found, named{id: a.ID, name: a.Name, place: " of " + a.Team + " in " + a.Environment})
	}
	return found, nil
}

// rehearseDelete says of each agent what deleting it would do.
func (d *developer) rehearseDelete(ctx context.Context, client *apiclient.Client, doomed []named) error {
	for _, a := range doomed {
		answer, err := client.DecommissionAgent(ctx, a.id, apiclient.WriteOptions{DryRun: true})
		if err != nil {
			return fmt.Errorf("delete %s: %w", a, err)
		}
		if err := writeAll(d.io.out, []byte(a.String()+"\n")); err != nil {
			return err
		}
		if err := d.printPlan(answer.Document, "table"); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne deletes the agent and says what became of it.
func deleteOne(ctx context.Context, client *apiclient.Client, a named) (done string, err error) {
	answer, err := client.DecommissionAgent(ctx, a.id, apiclient.WriteOptions{})
	switch {
	case err == nil && answer.Accepted:
		return "denied from now on, a provider has yet to follow:", nil
	case err == nil:
		return "deleted", nil
	}
	err = fmt.Errorf("delete %s: %w", a, err)
	if errors.Is(err, registry.Unavailable) {
		err = advise(err, "This finishes it, and may be repeated: credence agent delete %s", a.id)
	}
	return "", err
}

// maxReply is more than any reply to a question has.
const maxReply = 256

// confirm asks whoever sits at the terminal.
func (d *developer) confirm(doomed []named) error {
	for _, a := range doomed {
		fmt.Fprintf(d.io.err, "%s%s\n", a, plain(a.place))
	}
	fmt.Fprint(d.io.err, "Delete for good? [y/N] ")
	reply, err := bufio.NewReader(io.LimitReader(d.io.in, maxReply)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the reply: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(reply)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was deleted")
}
