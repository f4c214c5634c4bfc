package auth0

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// echo answers with a failure that repeats everything secret that the request
// carried, and a client secret, in every way a careless server or gateway might.
func echo(status int, contentType string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		said := fmt.Sprintf("you sent %s with %s, that is (%s), and were given %s", r.Header.Get("Authorization"), body, form.Get("client_secret"), issuedSecret)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		if contentType != "application/json" {
			_, _ = io.WriteString(w, said)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"statusCode": status, "error": said, "message": said, "errorCode": said, "error_description": said, "client_secret": issuedSecret,
		})
	}
}

// issuedSecret has the length and the alphabet of the secrets that Auth0 makes.
const issuedSecret = "wLh0-9pQ2rS4tU6vW8xY0zA1bC3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z_A7"

func TestInvariantD2_NoErrorContainsASecret(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	const ours = `shy & "short"` // too short to be recognised by its shape
	agent, _ := made(t, tn.client(t, nil), "A")
	client := clientsPath + "/" + agent.ClientID
	for _, status := range []int{200, 201, 302, 400, 401, 403, 404, 409, 429, 500} {
		for _, contentType := range []string{"application/json", "text/html", "text/plain", "application/x-www-form-urlencoded"} {
			for _, at := range []struct{ method, path string }{
				{"POST", tokenPath}, {"POST", clientsPath}, {"GET", clientsPath}, {"POST", grantsPath}, {"GET", grantsPath},
				{"GET", client}, {"PATCH", client}, {"POST", client + "/rotate-secret"}, {"GET", client + "/credentials"},
				{"POST", client + "/credentials"}, {"GET", "/api/v2/resource-servers"}, {"GET", "/api/v2/actions/actions"},
			} {
				name := fmt.Sprintf("%s %s %d %s", at.method, at.path, status, contentType)
				c := tn.client(t, func(c *Config) {
					if at.path == tokenPath {
						c.ClientSecret = func() (string, error) { return ours, nil }
					}
				})
				tn.faults.set("", "", nil)
				token := ""
				if at.path != tokenPath {
					var err error
					if token, err = c.tokens.token(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				tn.faults.set(at.method, at.path, echo(status, contentType))
				secrets := map[string]string{"our secret": ours, "our secret, escaped": "shy+%26+", "our secret, quoted": `shy & \"`, "the token": token, "an issued secret": issuedSecret}
				for call, err := range failures(t, c, withKeys(t, agent, "B")) {
					expectNoSecret(t, name+", "+call, err, secrets)
				}
			}
		}
	}
}

// failures makes every call but those that remove something. It does not wait
// where the rate limit is reached.
func failures(t *testing.T, c *Client, agent registry.Agent) map[string]error {
	t.Helper()
	errs := map[string]error{}
	for name, call := range callsOf(agent) {
		if strings.HasPrefix(name, "Delete") {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), minRateWait/10)
		errs[name] = call(ctx, c)
		cancel()
	}
	return errs
}

func expectNoSecret(t *testing.T, name string, err error, secrets map[string]string) {
	t.Helper()
	for _, said := range everythingSaid(err) {
		for what, secret := range secrets {
			if secret != "" && strings.Contains(said, secret) {
				t.Errorf("%s: %s is in %q", name, what, said)
			}
		}
	}
}

// everythingSaid returns the text of every error in the tree of err, and the
// messages meant for callers.
func everythingSaid(err error) []string {
	if err == nil {
		return nil
	}
	said := []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)}
	if known, ok := registry.AsError(err); ok {
		said = append(said, known.Message)
	}
	switch wrapped := any(err).(type) { // each error by itself, not what it wraps
	case interface{ Unwrap() error }:
		said = append(said, everythingSaid(wrapped.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapped.Unwrap() {
			said = append(said, everythingSaid(inner)...)
		}
	}
	return said
}
