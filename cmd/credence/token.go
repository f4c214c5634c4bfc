package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/registry"
)

// tokenFlags say which token is wanted.
type tokenFlags struct {
	endpoint, clientID, audience, secretFile string

	claims bool
	as     *choice
	output *choice
}

// tokenCommand gets tokens to try things with.
func tokenCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).tokenCommand()
}

func (d *developer) tokenCommand() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get an agent's access token",
		Long: `Gets an access token by an agent's client id and secret (RFC 6749 section 4.4) and
prints it, alone, for $(…). The secret is in CREDENCE_CLIENT_SECRET or in a file; it
is no flag, since every process sees the arguments of all others.

With --as it prints the dev system's own token of that person, for its API.`,
		Example: `  TOKEN=$(CREDENCE_CLIENT_SECRET=… credence token --client-id Qm4…)
  credence token --client-id Qm4… --client-secret-file agent.secret --claims
  curl -H "Authorization: Bearer $(credence token --as admin)" http://127.0.0.1:8080/environments`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.endpoint, "token-endpoint", "", "`address` where tokens are got (CREDENCE_TOKEN_ENDPOINT; default: the dev system's)")
	flags.StringVar(&f.clientID, "client-id", "", "client `id` of the agent (CREDENCE_CLIENT_ID)")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "`file` with its secret; - is the standard input (CREDENCE_CLIENT_SECRET_FILE, or CREDENCE_CLIENT_SECRET)")
	flags.StringVar(&f.audience, "audience", "", "what the token is for (CREDENCE_AUDIENCE; default: the dev system's agents' audience)")
	flags.BoolVar(&f.claims, "claims", false, "print the token's claims in its place; nothing is verified")
	f.as = &choice{allowed: []string{"developer", "admin"}}
	flags.Var(f.as, "as", "print the dev system's own token of developer or admin")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(f.as.allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	f.output = outputFlag(cmd, "text", "json")
	noFiles(cmd, "token-endpoint", "client-id", "audience")
	d.tls.bind(cmd)
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		if f.claims && f.output.value == "json" {
			return usageErrorf(cmd, "--claims and -o json exclude each other")
		}
		get := d.agentToken
		if f.as.value != "" {
			get = d.devToken
		}
		token, err := get(cmd, f)
		if err != nil {
			return err
		}
		return d.printToken(token, f)
	})
	return cmd
}

func (d *developer) printToken(t apiclient.Token, f tokenFlags) error {
	switch {
	case f.claims:
		claims, err := apiclient.Claims(t.AccessToken)
		if err != nil {
			return err
		}
		fmt.Fprintln(d.io.err, "These claims are decoded, not verified.")
		return writeJSON(d.io.out, claims)
	case f.output.value == "json":
		return writeJSON(d.io.out, t.JSON)
	case strings.ContainsFunc(t.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the token has characters that no token has")
	}
	return writeAll(d.io.out, []byte(t.AccessToken+"\n"))
}

// devToken returns the dev system's own token of --as.
func (d *developer) devToken(cmd *cobra.Command, f tokenFlags) (apiclient.Token, error) {
	for _, other := range []string{"token-endpoint", "client-id", "client-secret-file", "audience"} {
		if cmd.Flags().Changed(other) {
			return apiclient.Token{}, usageErrorf(cmd, "--as and --%s exclude each other", other)
		}
	}
	dev, err := d.devSystem()
	if err != nil {
		return apiclient.Token{}, err
	}
	if dev == nil {
		return apiclient.Token{}, advise(usageErrorf(cmd, "no dev system runs in this directory or above it"), "Start one with 'make dev' or 'credence dev'.")
	}
	token := dev.token(f.as.value)
	doc := mustJSON(struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
	}{token, "Bearer"})
	return apiclient.Token{AccessToken: token, TokenType: "Bearer", JSON: doc}, nil
}

// agentToken gets a token by an agent's credentials.
func (d *developer) agentToken(cmd *cobra.Command, f tokenFlags) (apiclient.Token, error) {
	r := apiclient.TokenRequest{
		Endpoint: d.setting(f.endpoint, "CREDENCE_TOKEN_ENDPOINT"),
		ClientID: d.setting(f.clientID, "CREDENCE_CLIENT_ID"),
		Audience: d.setting(f.audience, "CREDENCE_AUDIENCE"),
	}
	if r.ClientID == "" {
		return apiclient.Token{}, usageErrorf(cmd, "no client is given: --client-id, or CREDENCE_CLIENT_ID, is the agent's; --as is for the dev system's people")
	}
	if err := d.fillInEndpoint(cmd, &r); err != nil {
		return apiclient.Token{}, err
	}
	var err error
	if r.ClientSecret, err = d.clientSecret(cmd, f); err != nil {
		return apiclient.Token{}, err
	}
	token, err := apiclient.ClientCredentials(cmd.Context(), d.options(), r)
	return token, explain(err)
}

// fillInEndpoint takes from the dev system what was not given. Its audience goes
// with its endpoint alone.
func (d *developer) fillInEndpoint(cmd *cobra.Command, r *apiclient.TokenRequest) error {
	if r.Endpoint != "" && r.Audience != "" {
		return nil
	}
	dev, err := d.devSystem()
	switch own := err == nil && dev != nil; {
	case r.Endpoint != "" && (!own || dev.TokenEndpoint != r.Endpoint):
		return nil // the endpoint may know the audience by itself
	case err != nil:
		return err
	case dev == nil:
		return usageErrorf(cmd, "no token endpoint is given: --token-endpoint, or CREDENCE_TOKEN_ENDPOINT, is the one that the registration answered")
	}
	r.Endpoint = dev.TokenEndpoint
	if r.Audience == "" {
		r.Audience = dev.Audience
	}
	return nil
}

// maxSecret is more than any client secret has, in bytes.
const maxSecret = 4 << 10

func (d *developer) clientSecret(cmd *cobra.Command, f tokenFlags) (string, error) {
	if f.secretFile == "-" {
		b, err := io.ReadAll(io.LimitReader(d.io.in, maxSecret))
		if err != nil {
			return "", fmt.Errorf("read the client secret: %w", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	secret, err := d.secret(f.secretFile, "CREDENCE_CLIENT_SECRET")
	if err != nil {
		return "", usageErrorf(cmd, "%w", err)
	}
	if !secret.IsSet() {
		return "", usageErrorf(cmd, "no secret is given: put it into CREDENCE_CLIENT_SECRET, or its file into --client-secret-file")
	}
	return secret.Value()
}

// explain says what the refusal of a token endpoint usually means.
func explain(err error) error {
	refused, ok := errors.AsType[*apiclient.OAuthError](err)
	switch {
	case !ok:
		return err
	case refused.RetryAfter > 0:
		return advise(err, "Try again in %s.", refused.RetryAfter)
	case errors.Is(err, registry.Unauthenticated):
		return advise(err, "The client id or the secret is wrong, or the agent was deleted. The secret was shown once, at the registration.")
	case errors.Is(err, registry.Forbidden):
		return advise(err, "The client may get no token for this audience; the registration answered the one it may.")
	}
	return err
}
