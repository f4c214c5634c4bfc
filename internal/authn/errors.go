package authn

import (
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// The refusals. Messages reach the caller, so they repeat nothing of the token.

func errMissing() error {
	return registry.Unauthenticated.Errorf("missing_token",
		"no bearer token was sent; send it as: Authorization: Bearer <token>")
}

func errInvalid(cause error, message string) error {
	return registry.Unauthenticated.Wrap(cause, "invalid_token", message)
}

func errExpired() error {
	return registry.Unauthenticated.Errorf("token_expired", "the token has expired; get a new one")
}

func errWrongIssuer(want string) error {
	return registry.Unauthenticated.Errorf("wrong_issuer",
		"the token is not of the issuer that is trusted here, %s (a trailing slash counts)", want)
}

func errWrongAudience(want string) error {
	return registry.Unauthenticated.Errorf("wrong_audience",
		"the token is for another audience; ask the issuer for one with audience %s", want)
}

func errAgentClient() error {
	return registry.Forbidden.Errorf("agent_client",
		"the client of this token is or was an agent's; agents may not use the control plane")
}

func errNoKeys(cause error, retry time.Duration) error {
	err := registry.Unavailable.Wrap(cause, "identity_provider_unavailable",
		"the issuer's keys cannot be fetched now, so the token cannot be verified")
	err.RetryAfter = max(retry, time.Second)
	return err
}

func errNoRegistry(cause error) error {
	err := registry.Unavailable.Wrap(cause, "registry_unavailable",
		"it cannot be found out now whether the client of this token is an agent's")
	err.RetryAfter = time.Second
	return err
}
