package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/vault"
)

func setupCommand(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Prepare an Auth0 tenant or a Vault for Credence, repeatably",
	}
	cmd.AddCommand(setupAuth0Command(env, io), setupVaultCommand(env, io))
	return cmd
}

func setupAuth0Command(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "auth0",
		Short: "Prepare the tenant: both resource servers and the Action that sets agents' claims",
		Long: `Prepares the Auth0 tenant in which agents get their clients: the resource server
of the agents' audience with its scopes, the control plane's own resource server
with its permissions, and the Action that writes an agent's claims into its
tokens, deployed and bound. What others made stays as it is. A second run changes
nothing and says so.`,
		Args: cobra.NoArgs,
	}
	names := []string{
		"CREDENCE_AUTH0_DOMAIN", "CREDENCE_AUTH0_CLIENT_ID", "CREDENCE_AUTH0_CLIENT_SECRET", "CREDENCE_AUTH0_TIMEOUT",
		"CREDENCE_AGENT_AUDIENCE", "CREDENCE_AUTH_AUDIENCE", "CREDENCE_INSTALLATION",
	}
	addServerFlags(cmd, names...)
	lifetime := cmd.Flags().Duration("token-lifetime", auth0.DefaultTokenLifetime, "how long agents' tokens live")
	scopes := cmd.Flags().StringArray("scope", nil, "scope=description of the agents' audience; repeat it (default: the four of the resource types)")
	dryRun := cmd.Flags().Bool("dry-run", false, "write nothing, say what would be written")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.LoadPart(givenFlags(cmd.Flags()), config.Source(env), names...)
		if err != nil {
			return err
		}
		report, err := auth0.Setup(cmd.Context(), auth0.SetupConfig{
			Config: auth0Config(cfg), APIAudience: cfg.Auth.Audience, Scopes: parseScopes(*scopes), TokenLifetime: *lifetime, DryRun: *dryRun,
		})
		if printErr := report.Print(io.out); err == nil {
			err = printErr
		}
		return err
	})
	return cmd
}

func parseScopes(given []string) []auth0.Scope {
	var scopes []auth0.Scope
	for _, s := range given {
		value, description, _ := strings.Cut(s, "=")
		scopes = append(scopes, auth0.Scope{Value: value, Description: description})
	}
	return scopes
}

// vaultSetupFlags are what setup vault asks for beside the server's settings.
type vaultSetupFlags struct {
	issuer, jwksURL, tokenFile, secretIDFile string
	tokenTTL, tokenMaxTTL                    time.Duration
	dryRun                                   bool

	databaseURL, databaseUser, databasePasswordFile, databaseRole string
}

func setupVaultCommand(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Prepare Vault or OpenBao: agents' log-in, their policy, and the control plane's own",
		Long: `Prepares Vault or OpenBao: the KV v2 engine, the JWT mount and the role with which
agents log in, the one templated policy that all agents have, and the AppRole and
least-privilege policy of the control plane. It needs an operator's token, in
VAULT_TOKEN or in a file. A second run changes nothing and says so.`,
		Args: cobra.NoArgs,
	}
	names := []string{
		"CREDENCE_VAULT_ADDRESS", "CREDENCE_VAULT_PLAINTEXT", "CREDENCE_VAULT_NAMESPACE", "CREDENCE_VAULT_CA_CERT_FILE", "CREDENCE_VAULT_APPROLE_MOUNT",
		"CREDENCE_VAULT_JWT_MOUNT", "CREDENCE_VAULT_KV_MOUNT", "CREDENCE_VAULT_ROLE", "CREDENCE_VAULT_TIMEOUT", "CREDENCE_AGENT_AUDIENCE",
	}
	addServerFlags(cmd, names...)
	var f vaultSetupFlags
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "agent-issuer", "", "issuer of the agents' tokens, to the letter, such as https://tenant.eu.auth0.com/")
	flags.StringVar(&f.jwksURL, "jwks-url", "", "where the issuer's keys are (default: the issuer with .well-known/jwks.json behind it)")
	flags.StringVar(&f.tokenFile, "operator-token-file", "", "file with the operator's token (default: VAULT_TOKEN)")
	flags.StringVar(&f.secretIDFile, "secret-id-file", "", "make a new secret id for the control plane and write it to this new file")
	flags.DurationVar(&f.tokenTTL, "token-ttl", vault.DefaultTokenTTL, "how long an agent's Vault token lives unless it is renewed")
	flags.DurationVar(&f.tokenMaxTTL, "token-max-ttl", vault.DefaultTokenMaxTTL, "how long it lives at most")
	flags.BoolVar(&f.dryRun, "dry-run", false, "write nothing, say what would be written")
	flags.StringVar(&f.databaseURL, "database-connection-url", "", "also make a role for PostgreSQL credentials, such as postgresql://{{username}}:{{password}}@db:5432/app")
	flags.StringVar(&f.databaseUser, "database-username", "", "a PostgreSQL user that may create roles")
	flags.StringVar(&f.databasePasswordFile, "database-password-file", "", "file with its password")
	flags.StringVar(&f.databaseRole, "database-role", "", "name of the credentials role")
	cmd.RunE = interruptible(func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.LoadPart(givenFlags(flags), config.Source(env), names...)
		if err != nil {
			return err
		}
		sc, err := f.setupConfig(cmd, cfg, env)
		if err != nil {
			return err
		}
		result, err := vault.Setup(cmd.Context(), sc)
		if printErr := result.Report.Print(io.out); err == nil {
			err = printErr
		}
		if err != nil {
			return err
		}
		if result.RoleID != "" {
			fmt.Fprintf(io.out, "CREDENCE_VAULT_ROLE_ID=%s\n", result.RoleID)
		}
		if result.SecretID == "" {
			return nil
		}
		if err := writeNewSecret(f.secretIDFile, result.SecretID); err != nil {
			return fmt.Errorf("a secret id was made but not saved; run this again with another --secret-id-file: %w", err)
		}
		fmt.Fprintf(io.out, "CREDENCE_VAULT_SECRET_ID_FILE=%s\n", f.secretIDFile)
		return nil
	})
	return cmd
}

func (f vaultSetupFlags) setupConfig(cmd *cobra.Command, cfg config.Server, env lookup) (vault.SetupConfig, error) {
	token, _ := env("VAULT_TOKEN")
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return vault.SetupConfig{}, fmt.Errorf("read the operator's token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	switch {
	case token == "":
		return vault.SetupConfig{}, usageErrorf(cmd, "an operator's token is needed: set VAULT_TOKEN or give --operator-token-file")
	case f.issuer == "":
		return vault.SetupConfig{}, usageErrorf(cmd, "--agent-issuer is needed: the issuer of the agents' tokens, such as https://tenant.eu.auth0.com/")
	}
	jwksURL := f.jwksURL
	if jwksURL == "" {
		jwksURL = strings.TrimSuffix(f.issuer, "/") + "/.well-known/jwks.json"
	}
	sc := vault.SetupConfig{
		Address: cfg.Vault.Address, AllowPlaintext: cfg.Vault.Plaintext, Token: token, Namespace: cfg.Vault.Namespace, CACertFile: cfg.Vault.CACertFile, Timeout: cfg.Vault.Timeout,
		JWTMount: cfg.Vault.JWTMount, KVMount: cfg.Vault.KVMount, AppRoleMount: cfg.Vault.AppRoleMount, Role: cfg.Vault.Role,
		Issuer: f.issuer, JWKSURL: jwksURL, Audience: cfg.Auth0.Audience, TokenTTL: f.tokenTTL, TokenMaxTTL: f.tokenMaxTTL,
		IssueSecretID: f.secretIDFile != "", DryRun: f.dryRun,
	}
	if sc.IssueSecretID && !f.dryRun {
		if _, err := os.Lstat(f.secretIDFile); err == nil {
			return vault.SetupConfig{}, usageErrorf(cmd, "%s is there already: name a new file for the secret id", f.secretIDFile)
		}
	}
	if f.databaseURL != "" {
		password := config.NewSecretFile(f.databasePasswordFile)
		sc.Database = &vault.DatabaseConfig{ConnectionURL: f.databaseURL, Username: f.databaseUser, Password: password.Value, Role: f.databaseRole}
	}
	return sc, nil
}

// writeNewSecret writes a secret to a file that is not there yet, for its owner
// alone.
func writeNewSecret(path, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(secret + "\n"); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
