package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/config"
)

// developer is what the developer's commands know of the machine, and the flags
// that say which server they call and who calls. Flags win over the environment,
// the environment over the dev system of the working directory.
type developer struct {
	io         streams
	env        lookup
	workingDir func() (string, error)
	terminal   func(io.Reader) bool // whether somebody sits there to be asked

	server    string
	tokenFile string
	as        *choice
	tls       tlsFlags
}

func newDeveloper(io streams, env lookup) *developer {
	return &developer{io: io, env: env, workingDir: os.Getwd, terminal: isTerminal}
}

// tlsFlags are the certificates of a connection.
type tlsFlags struct{ caCert, clientCert, clientKey string }

func (t *tlsFlags) bind(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&t.caCert, "ca-cert", "", "`file` with PEM authorities of the server's certificate (CREDENCE_CA_CERT; default: the system's)")
	flags.StringVar(&t.clientCert, "client-cert", "", "`file` with the PEM certificate for mutual TLS (CREDENCE_CLIENT_CERT)")
	flags.StringVar(&t.clientKey, "client-key", "", "`file` with the PEM key of that certificate (CREDENCE_CLIENT_KEY)")
}

// bind adds the flags to cmd and the commands below it.
func (d *developer) bind(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&d.server, "server", "", "`address` of the server (CREDENCE_SERVER; default: the dev system of this directory)")
	flags.StringVar(&d.tokenFile, "token-file", "", "`file` with the caller's token, read at each request (CREDENCE_TOKEN_FILE, or CREDENCE_TOKEN)")
	d.as = &choice{allowed: []string{"developer", "admin"}, value: ""}
	flags.Var(d.as, "as", "whose token of the dev system is used (default developer)")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(d.as.allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	d.tls.bind(cmd)
}

// setting is the flag's value, or else the variable's.
func (d *developer) setting(flag, variable string) string {
	if flag != "" {
		return flag
	}
	value, _ := d.env(variable)
	return value
}

// options are those of every connection.
func (d *developer) options() apiclient.Options {
	return apiclient.Options{
		CACertFile:     d.setting(d.tls.caCert, "CREDENCE_CA_CERT"),
		ClientCertFile: d.setting(d.tls.clientCert, "CREDENCE_CLIENT_CERT"),
		ClientKeyFile:  d.setting(d.tls.clientKey, "CREDENCE_CLIENT_KEY"),
		Proxy:          http.ProxyFromEnvironment,
		UserAgent:      "credence/" + version(),
	}
}

// connect returns a client of the server that cmd is meant for.
func (d *developer) connect(cmd *cobra.Command) (*apiclient.Client, error) {
	o := d.options()
	o.URL = d.setting(d.server, "CREDENCE_SERVER")
	var err error
	if o.Token, err = d.givenToken(cmd); err != nil {
		return nil, err
	}
	if o.URL == "" || o.Token == nil {
		if err := d.fillIn(cmd, &o); err != nil {
			return nil, err
		}
	}
	c, err := apiclient.New(o)
	if err != nil {
		return nil, usageErrorf(cmd, "%w", err)
	}
	return c, nil
}

// givenToken returns the token of flags and environment, nil when they have none.
func (d *developer) givenToken(cmd *cobra.Command) (func(context.Context) (string, error), error) {
	if d.as.value != "" {
		if d.tokenFile != "" {
			return nil, usageErrorf(cmd, "--as and --token-file exclude each other")
		}
		return nil, nil //nolint:nilnil // the dev system's token is asked for
	}
	secret, err := d.secret(d.tokenFile, "CREDENCE_TOKEN")
	if err != nil {
		return nil, usageErrorf(cmd, "%w", err)
	}
	if !secret.IsSet() {
		return nil, nil //nolint:nilnil // none is given
	}
	return func(context.Context) (string, error) { return secret.Value() }, nil
}

// secret is what the file holds, or else the variable, or else the file that
// the variable with _FILE names.
func (d *developer) secret(file, variable string) (config.Secret, error) {
	if file != "" {
		return config.NewSecretFile(file), nil
	}
	text, _ := d.env(variable)
	file, _ = d.env(variable + "_FILE")
	switch {
	case text != "" && file != "":
		return config.Secret{}, fmt.Errorf("both %s and %s_FILE are set: leave one", variable, variable)
	case file != "":
		return config.NewSecretFile(file), nil
	}
	return config.NewSecret(text), nil
}

// fillIn takes from the dev system what was not given. Its token goes to its
// own server alone.
func (d *developer) fillIn(cmd *cobra.Command, o *apiclient.Options) error {
	dev, err := d.devSystem()
	if err != nil {
		return err
	}
	switch {
	case o.URL == "" && dev == nil:
		return advise(usageErrorf(cmd, "no server is given, and no dev system runs in this directory or above it"),
			"Start one with 'make dev' or 'credence dev', or say where the server is with --server or CREDENCE_SERVER.")
	case o.URL == "":
		o.URL = dev.API
	case o.Token == nil && (dev == nil || !sameAddress(o.URL, dev.API)):
		return advise(usageErrorf(cmd, "no token is given for %s", plain(o.URL)),
			"Put a token of the control plane's audience into CREDENCE_TOKEN, or its file into --token-file or CREDENCE_TOKEN_FILE.")
	}
	if o.Token == nil {
		token := dev.token(d.as.value)
		o.Token = func(context.Context) (string, error) { return token, nil }
	}
	return nil
}

func sameAddress(a, b string) bool {
	return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
}

// isTerminal reports whether r is a terminal. The null device is a character
// device too.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	about, err := f.Stat()
	if err != nil || about.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(about, null)
}
