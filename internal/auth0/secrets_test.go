package auth0

import (
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
	tn := newTenant(t, nil)
	const ours = `shy & "short"` // too short to be recognised by its shape
	for _, status := range []int{200, 201, 302, 400, 401, 403, 404, 409, 429, 500} {
		for _, contentType := range []string{"application/json", "text/html", "text/plain", "application/x-www-form-urlencoded"} {
			for _, at := range []struct{ method, path string }{{"POST", tokenPath}, {"POST", clientsPath}, {"GET", clientsPath}, {"POST", grantsPath}} {
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
				_, createErr := c.CreateClient(t.Context(), newAgent(), "intent")
				_, findErr := c.FindClients(t.Context(), newAgent().ID)
				_, grantErr := c.EnsureGrant(t.Context(), "abc", nil)
				for _, err := range []error{createErr, findErr, grantErr} {
					for _, said := range everythingSaid(err) {
						for what, secret := range map[string]string{"our secret": ours, "our secret, escaped": "shy+%26+", "our secret, quoted": `shy & \"`, "the token": token, "an issued secret": issuedSecret} {
							if secret != "" && strings.Contains(said, secret) {
								t.Errorf("%s: %s is in %q", name, what, said)
							}
						}
					}
				}
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
