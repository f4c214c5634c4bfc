package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) registerCommand() *cobra.Command {
	return d.newRegistration(&cobra.Command{
		Use:   "register",
		Short: "Register an agent",
		Long: `Registers an agent that a JSON or YAML file, flags, or both describe; flags win
over the file. The answer holds the agent's client secret, which is shown once and
stored nowhere. The call is repeated when its answer is lost: it leads to one agent.

While a provider is away the agent is registered and finished in the background:
--wait waits for it and for its secret; without it, 'credence agent rotate' hands out
a secret later.`,
		Example: `  credence agent register --name support-triage --team customer-success --type support \
      --environment production --owner ana@example.com
  credence agent register -f agent.yaml --environment staging --secret-file agent.secret --wait
  generate-agent | credence agent register -f - -o json`,
	}, func(*cobra.Command) []override { return nil })
}

// adoptCommand is registerCommand for a client that exists.
func (d *developer) adoptCommand() *cobra.Command {
	var clientID string
	cmd := d.newRegistration(&cobra.Command{
		Use:   "adopt --client-id ID",
		Short: "Register an agent for a client that exists, its secret unchanged (needs admin)",
		Long: `Makes an application that exists at the identity provider the client of a new agent.
It keeps its id and its secret; its name, its metadata and what it may ask for become
the agent's. The agent is described as for 'credence agent register'.`,
		Example: `  credence agent adopt --client-id Qm4zX… --name support-triage --team customer-success \
      --type support --environment production --owner ana@example.com`,
	}, func(*cobra.Command) []override {
		return []override{{within: "adopt", key: "client_id", value: clientID}}
	})
	cmd.Flags().StringVar(&clientID, "client-id", "", "`id` of the client at the identity provider")
	_ = cmd.MarkFlagRequired("client-id") // the flag exists
	noFiles(cmd, "client-id")
	return cmd
}

// defaultWait is how long --wait waits that says no time.
const defaultWait = 30 * time.Second

// newRegistration makes cmd register an agent; extra is what it adds to the
// document.
func (d *developer) newRegistration(cmd *cobra.Command, extra func(*cobra.Command) []override) *cobra.Command {
	var f registrationFlags
	var secretPath string
	r := registration{}
	cmd.Args = cobra.NoArgs
	f.bind(cmd)
	flags := cmd.Flags()
	flags.StringVar(&secretPath, "secret-file", "", "write the secret to this new `file`, readable by you alone, and do not print it")
	flags.StringVar(&r.key, "idempotency-key", "", "`key` of this registration: repeated with it, the command leads to the same agent (default: a random one)")
	flags.DurationVar(&r.wait, "wait", 0, "wait for the agent to be ready, this long at most")
	flags.Lookup("wait").NoOptDefVal = defaultWait.String()
	flags.BoolVar(&r.dryRun, "dry-run", false, "say what would be done, and do nothing")
	noFiles(cmd, "idempotency-key", "wait")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		document, err := f.document(cmd, d.io.in, extra(cmd)...)
		if err != nil {
			return err
		}
		if r.client, err = d.connect(cmd); err != nil {
			return err
		}
		if r.key == "" {
			r.key = uuid.NewString()
		}
		if r.dryRun {
			answer, err := r.send(cmd.Context(), document)
			if err != nil {
				return err
			}
			return d.printPlan(answer.Document, output.value)
		}
		keep, err := newSecretFile(secretPath)
		if err != nil {
			return err
		}
		answer, err := r.register(cmd.Context(), document)
		if err != nil {
			keep.discard()
			return err
		}
		return d.present(answer, keep, output.value)
	})
	return cmd
}

// registration is one registration from the command line.
type registration struct {
	client *apiclient.Client
	key    string
	wait   time.Duration
	dryRun bool
}

// register registers the agent and, where that was asked for, waits for it and
// collects its secret by the same key.
func (r registration) register(ctx context.Context, document []byte) (apiclient.Answer, error) {
	answer, err := r.send(ctx, document)
	if err != nil || !answer.Accepted || r.wait <= 0 {
		return answer, err
	}
	var pending api.PendingAgent
	if err := json.Unmarshal(answer.Document, &pending); err != nil {
		return answer, fmt.Errorf("read the server's answer: %w", err)
	}
	waited, err := waitReady(ctx, r.client, pending.Agent.ID, r.wait)
	if err != nil || !waited {
		return answer, err
	}
	return r.send(ctx, document)
}

// longestHold is how long the server holds an answer at most.
const longestHold = time.Minute

// waitReady waits for the agent, for at most d, and reports whether it is ready.
func waitReady(ctx context.Context, client *apiclient.Client, ref string, d time.Duration) (bool, error) {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left < time.Second {
			return false, nil
		}
		answer, err := client.GetAgent(ctx, ref, apiclient.GetOptions{Wait: min(left, longestHold).Truncate(time.Second)})
		if err != nil {
			return false, err
		}
		var a api.Agent
		if err := json.Unmarshal(answer.Document, &a); err != nil {
			return false, fmt.Errorf("read the server's answer: %w", err)
		}
		if stateOf(a) == stateReady {
			return true, nil
		}
	}
}

// send says after a failure whether the agent may exist.
func (r registration) send(ctx context.Context, document []byte) (apiclient.Answer, error) {
	answer, err := r.client.RegisterAgent(ctx, document, apiclient.RegisterOptions{IdempotencyKey: r.key, DryRun: r.dryRun})
	if err == nil {
		return answer, nil
	}
	if problem, refused := errors.AsType[*apiclient.Problem](err); refused {
		if problem.Code == "name_taken" {
			return answer, advise(err, "'credence agent get' shows who has it.")
		}
		return answer, err
	}
	if e, ok := registry.AsError(err); ok && e.Code == apiclient.Unreachable {
		return answer, advise(err, "Is it running, and is this its address?")
	}
	return answer, advise(err, "The agent may exist all the same. This leads to it and not to another: the same command with --idempotency-key %s", r.key)
}

// present prints the answer. The secret is in it this once, so it is in the
// file, or the whole answer is printed.
func (d *developer) present(answer apiclient.Answer, keep *secretFile, output string) error {
	var r api.RegisteredAgent
	if err := json.Unmarshal(answer.Document, &r); err != nil {
		keep.discard()
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if r.Credentials.ClientSecret == nil {
		keep.discard()
		keep = nil
	}
	lost := func(err error) error {
		return advise(fmt.Errorf("the secret of %s is lost: %w", plain(r.Agent.Name), err),
			"This gives it another: credence agent rotate %s", plain(r.Agent.ID))
	}
	if err := keep.write(deref(r.Credentials.ClientSecret)); err != nil {
		return lost(err)
	}
	err := d.printAnswer(answer.Document, r, keep, output)
	if err != nil && keep == nil && r.Credentials.ClientSecret != nil { // what could not be written was the only copy
		return lost(err)
	}
	return err
}

func (d *developer) printAnswer(answer json.RawMessage, r api.RegisteredAgent, keep *secretFile, output string) error {
	if output == "json" {
		if keep != nil {
			var err error
			if answer, err = withoutSecret(answer); err != nil {
				return err
			}
		}
		return writeJSON(d.io.out, answer)
	}
	var b bytes.Buffer
	printRegistered(&b, r, keep.path())
	return writeAll(d.io.out, b.Bytes())
}

// withoutSecret removes the secret from the answer and leaves the rest alone.
func withoutSecret(answer json.RawMessage) (json.RawMessage, error) {
	var doc, credentials map[string]json.RawMessage
	err := json.Unmarshal(answer, &doc)
	if err == nil {
		err = json.Unmarshal(doc["credentials"], &credentials)
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	delete(credentials, "client_secret")
	doc["credentials"] = mustJSON(credentials)
	return mustJSON(doc), nil
}

// secretFile is a file for one secret; nil is none.
type secretFile struct{ file *os.File }

// newSecretFile makes the file before anything is registered: afterwards it is
// too late to find that there is no place for the secret.
func newSecretFile(path string) (*secretFile, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // none is wanted
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the secret file: %w", err)
	}
	return &secretFile{file: f}, nil
}

func (s *secretFile) path() string {
	if s == nil {
		return ""
	}
	return s.file.Name()
}

func (s *secretFile) write(secret string) error {
	if s == nil {
		return nil
	}
	_, err := s.file.WriteString(secret + "\n")
	return errors.Join(err, s.file.Close())
}

// discard removes the file that stayed empty.
func (s *secretFile) discard() {
	if s == nil {
		return
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name()) // an empty file is left at worst
}
