package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/apiclient"
	"github.com/credenceproject/credence/internal/netrule"
)

// healthcheckCommand asks a server whether it should get requests, for the
// container image, which has no shell and no curl. It exits with 0 or 1 and
// nothing else, as Docker has it.
func healthcheckCommand(io streams, env lookup) *cobra.Command {
	d := newDeveloper(io, env)
	var address string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if a server is ready, for containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if err := checkHealth(ctx, address, d.options()); err != nil {
				return errors.New("not ready: " + plain(err.Error())) // without its kind: the exit code is 1
			}
			return writeAll(io.out, []byte("ready\n"))
		},
	}
	cmd.Flags().StringVar(&address, "url", "http://127.0.0.1:8080/readyz", "`address` that is asked")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long the answer may take")
	cmd.Flags().StringVar(&d.tls.clientCert, "client-cert", "", "`file` with the PEM certificate for a server with mutual TLS (CREDENCE_CLIENT_CERT)")
	cmd.Flags().StringVar(&d.tls.clientKey, "client-key", "", "`file` with the PEM key of that certificate (CREDENCE_CLIENT_KEY)")
	return cmd
}

// maxHealth is the most that is read of an answer, in bytes.
const maxHealth = 64 << 10

func checkHealth(ctx context.Context, address string, o apiclient.Options) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("--url is not an address such as http://127.0.0.1:8080/readyz")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	// The server's certificate names the service, not this machine. Nothing
	// secret is sent, and what answers on loopback is on this machine.
	o.SkipVerify = netrule.IsLoopback(u.Hostname())
	client, err := apiclient.HTTPClient(o)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // its text repeats the URL
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("HTTP status %d%s", resp.StatusCode, reasons(body))
}

// reasons are those that the answer of /readyz gives.
func reasons(body []byte) string {
	var r api.Readiness
	if json.Unmarshal(body, &r) != nil {
		return ""
	}
	var b strings.Builder
	for _, c := range r.Checks {
		if !c.Ok {
			fmt.Fprintf(&b, "; %s: %s", c.Name, deref(c.Reason))
		}
	}
	return b.String()
}
