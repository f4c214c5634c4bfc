package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

func (d *developer) changeCommand() *cobra.Command {
	var f registrationFlags
	var o apiclient.WriteOptions
	var remove []string
	cmd := &cobra.Command{
		Use:   "change NAME|ID",
		Short: "Change what an agent was registered with",
		Long: `Changes an agent by a JSON Merge Patch (RFC 7396) from a file, by flags, or both:
what they do not name stays. What narrows the agent bites within a second; what widens
it does when the providers have followed. Its name, environment and team stay; see
'credence agent transfer' and 'credence agent rotate'.

It acts on the state that it has read: when somebody else changes the agent meanwhile
nothing is done.`,
		Example: `  credence agent change support-triage --scope skills:invoke --expires-at 2027-01-31T00:00:00Z
  echo '{"labels": {"cost-center": null}}' | credence agent change support-triage -f -`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneAgent,
	}
	f.bind(cmd)
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "remove this optional `field`, such as expires_at; again for each")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and do nothing")
	noFiles(cmd, "remove")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		extra := make([]override, 0, len(remove))
		for _, field := range remove {
			extra = append(extra, override{key: field, value: nil})
		}
		patch, err := f.document(cmd, d.io.in, extra...)
		if err != nil {
			return err
		}
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		present, err := client.GetAgent(cmd.Context(), args[0], apiclient.GetOptions{})
		if err != nil {
			return err
		}
		o.IfMatch = present.ETag
		answer, err := client.PatchAgent(cmd.Context(), args[0], patch, o)
		if err != nil {
			return err
		}
		return d.presentChange(answer, o.DryRun, "changed", output.value)
	})
	return cmd
}

func (d *developer) rotateCommand() *cobra.Command {
	var keys, expires, secretPath string
	var r apiclient.Rotation
	var o apiclient.WriteOptions
	cmd := &cobra.Command{
		Use:   "rotate NAME|ID",
		Short: "Give an agent new credentials",
		Long: `Gives an agent a new secret, which is shown once and stored nowhere; the one before
stops working, at Auth0 within 30 seconds. With --jwks the agent signs with its own key
from now on and has no secret.`,
		Example: `  credence agent rotate support-triage --secret-file agent.secret
  credence agent rotate support-triage --jwks public.pem --revoke-tokens`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.oneAgent,
	}
	flags := cmd.Flags()
	flags.StringVar(&keys, "jwks", "", "`file` with the agent's new public keys, a JWK Set or PEM")
	flags.StringVar(&expires, "credentials-expire-at", "", "when the new credentials expire, such as 2027-01-31T00:00:00Z (default: never)")
	flags.BoolVar(&r.RevokeTokens, "revoke-tokens", false, "tokens issued until now never count again")
	flags.StringVar(&secretPath, "secret-file", "", "write the secret to this new `file`, readable by you alone, and do not print it")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and do nothing")
	noFiles(cmd, "credentials-expire-at")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) (err error) {
		if keys != "" {
			if r.Keys, err = readKeys(keys); err != nil {
				return err
			}
		}
		if expires != "" {
			at, err := time.Parse(time.RFC3339, expires)
			if err != nil {
				return usageErrorf(cmd, "--credentials-expire-at %q is not a time such as 2027-01-31T00:00:00Z", expires)
			}
			r.ExpiresAt = &at
		}
		return d.rotate(cmd, args[0], r, o, secretPath, output.value)
	})
	return cmd
}

func (d *developer) rotate(cmd *cobra.Command, ref string, r apiclient.Rotation, o apiclient.WriteOptions, secretPath, output string) error {
	client, err := d.connect(cmd)
	if err != nil {
		return err
	}
	if o.DryRun {
		answer, err := client.RotateCredentials(cmd.Context(), ref, r, o)
		if err != nil {
			return err
		}
		return d.printPlan(answer.Document, output)
	}
	keep, err := newSecretFile(secretPath)
	if err != nil {
		return err
	}
	answer, err := client.RotateCredentials(cmd.Context(), ref, r, o)
	if err == nil && answer.Accepted {
		err = registry.Unavailable.Errorf(apiclient.NotReady, "the new secret could not be handed out; repeat the command")
	}
	if err != nil {
		keep.discard()
		return err
	}
	return d.present(answer, keep, output)
}
