package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) registerCommand() *cobra.Command {
	var f registrationFlags
	var secretPath string
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Register an agent",
		Long: `Registers an agent that a JSON or YAML file, flags, or both describe; flags win
over the file. The answer holds the agent's client secret, which is shown once and
stored nowhere.`,
		Example: `  credence agent register --name support-triage --team customer-success --type support \
      --environment production --owner ana@example.com
  credence agent register -f agent.yaml --environment staging --secret-file agent.secret
  generate-agent | credence agent register -f - -o json`,
		Args: cobra.NoArgs,
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&secretPath, "secret-file", "", "write the secret to this new `file`, readable by you alone, and do not print it")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		document, err := f.document(cmd, d.io.in)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		keep, err := newSecretFile(secretPath)
		if err != nil {
			return err
		}
		answer, err := register(cmd.Context(), client, document)
		if err != nil {
			keep.discard()
			return err
		}
		return d.present(answer, keep, output.value)
	})
	return cmd
}

// register says after a failure whether the agent may exist.
func register(ctx context.Context, client *apiclient.Client, document []byte) (json.RawMessage, error) {
	answer, err := client.RegisterJSON(ctx, document)
	if err == nil {
		return answer, nil
	}
	if problem, refused := errors.AsType[*apiclient.Problem](err); refused {
		if problem.Code == "name_taken" {
			return nil, advise(err, "'credence agent get' shows who has it.")
		}
		return nil, err
	}
	if e, ok := registry.AsError(err); ok && e.Code == apiclient.Unreachable {
		return nil, advise(err, "Is it running, and is this its address?")
	}
	return nil, advise(err, "The agent may exist all the same: look with 'credence agent get' before you register it again.")
}

// present prints the answer. The secret is in it this once, so it is in the
// file, or the whole answer is printed.
func (d *developer) present(answer json.RawMessage, keep *secretFile, output string) error {
	var r api.RegisteredAgent
	if err := json.Unmarshal(answer, &r); err != nil {
		keep.discard()
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if err := keep.write(r.Credentials.ClientSecret); err != nil {
		return advise(fmt.Errorf("%s is registered, but its secret is lost: %w", plain(r.Agent.Name), err),
			"Make room and register it again, after: credence agent delete %s", plain(r.Agent.ID))
	}
	err := d.printAnswer(answer, r, keep, output)
	if err != nil && keep == nil { // what could not be written was the only copy
		return advise(fmt.Errorf("%s is registered, but its secret is lost: %w", plain(r.Agent.Name), err),
			"Register it again, after: credence agent delete %s", plain(r.Agent.ID))
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
