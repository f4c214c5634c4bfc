package auth0

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// The codes of our errors; they are part of the wire.
const (
	codeRefused     = "identity_provider_refused"
	codeLimit       = "identity_provider_limit"
	codeUnavailable = "identity_provider_unavailable"
	codeClientGone  = "client_gone"
	codeNotOurs     = "client_of_another_installation"
)

// tokenPath is where tokens are issued, the agents' and our own.
const tokenPath = "/oauth/token"

// The bounds of RetryAfter, whatever Auth0 says.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 5 * time.Minute
)

// responseError is an answer of Auth0 that is not a success. It holds Auth0's own
// words and never leaves the package: translate makes a redacted cause of it.
type responseError struct {
	method, path string
	status       int
	code         string // Auth0's errorCode, or OAuth's error
	text         string // Auth0's own words
	retryAfter   time.Duration
}

func (e *responseError) Error() string {
	return fmt.Sprintf("%s %s: %d %s %q", e.method, e.path, e.status, e.code, e.text)
}

// limitRE recognises the limit of entities by its words. The documentation names
// no code for it; too_many_entities has been seen.
var limitRE = regexp.MustCompile(`(?i)limit of (entities|applications|clients|client grants)|(entity|application|client) limit`)

func (e *responseError) isEntityLimit() bool {
	return e.code == "too_many_entities" || limitRE.MatchString(e.text)
}

// permanent reports whether the same request would fail again. Unauthenticated
// is not: the next call fetches another management token, and the fetch itself
// tells whether our credentials are wrong.
func (e *responseError) permanent() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusUnauthorized:
		return e.path == tokenPath
	}
	return e.status >= 400 && e.status < 500
}

// operation is one kind of call: its name in metrics, what it does in words, and
// what the operator must have granted or done for it.
type operation struct {
	name   string
	does   string
	scope  string // of the Management API
	advice string // for refusals other than those that every call shares
}

var (
	opToken        = operation{name: "fetch_token", does: "get a management token"}
	opPing         = operation{name: "ping", does: "get a management token"}
	opCreateClient = operation{name: "create_client", does: "create the agent's application", scope: "create:clients"}
	opListClients  = operation{name: "list_clients", does: "list the applications", scope: "read:clients"}
	opDeleteClient = operation{name: "delete_client", does: "delete the agent's application", scope: "delete:clients"}
	opReadClient   = operation{name: "read_client", does: "read the agent's application", scope: "read:clients"}
	opUpdateClient = operation{name: "update_client", does: "change the agent's application", scope: "update:clients"}
	opRotateSecret = operation{name: "rotate_secret", does: "rotate the agent's secret", scope: "update:client_keys", advice: "an agent that authenticates with private_key_jwt has none"}
	opCreateGrant  = operation{name: "create_grant", does: "grant the agent its scopes", scope: "create:client_grants", advice: adviseSetup}
	opListGrants   = operation{name: "list_grants", does: "list the agent's grants", scope: "read:client_grants"}
	opUpdateGrant  = operation{name: "update_grant", does: "change the agent's scopes", scope: "update:client_grants", advice: adviseSetup}
	opDeleteGrant  = operation{name: "delete_grant", does: "take the agent's scopes back", scope: "delete:client_grants"}

	opListKeys   = operation{name: "list_keys", does: "list the agent's public keys", scope: "read:client_credentials"}
	opCreateKey  = operation{name: "create_key", does: "add the agent's public key", scope: "create:client_credentials", advice: adviseKeys}
	opEnableKeys = operation{name: "enable_keys", does: "enable the agent's public keys", scope: "update:client_credentials", advice: adviseKeys}
	opDeleteKey  = operation{name: "delete_key", does: "delete the agent's former public key", scope: "delete:client_credentials"}
)

const adviseSetup = "run `credence setup auth0`, so that the agents' audience exists and has every scope"

const adviseKeys = "private_key_jwt needs an Auth0 plan that has it, and an RSA key of 2048 to 4096 bits"

// translate turns the failure of a call into one of the two kinds that callers
// act on. Auth0's own words stay in the cause, without what looks like a secret
// and without the given secrets.
func (op operation) translate(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	if _, ok := registry.AsError(err); ok { // translated already, as that of the token that the call needed
		return fmt.Errorf("auth0: %s: %w", op.does, err)
	}
	refused, ok := errors.AsType[*responseError](err)
	cause := withoutSecrets(err, secrets...)
	if notDone(err) {
		cause = fmt.Errorf("%w: %w", registry.ErrNotDone, cause)
	}
	switch {
	case !ok:
		return op.unavailable(cause)
	case refused.permanent() && refused.isEntityLimit():
		return registry.Refused.Wrap(cause, codeLimit, op.refusal(refused))
	case refused.permanent():
		return registry.Refused.Wrap(cause, codeRefused, op.refusal(refused))
	}
	unavailable := op.unavailable(cause)
	unavailable.RetryAfter = refused.retryAfter
	if refused.status == http.StatusTooManyRequests {
		unavailable.Message = fmt.Sprintf("Auth0's rate limit is reached: could not %s", op.does)
	}
	return unavailable
}

// notDone reports whether the call surely did nothing: there was no token for
// it, or no connection, or Auth0 turned it away for its token or its rate before
// it looked at the request.
func notDone(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, registry.ErrNotDone) || (ok && dial.Op == "dial") ||
		isStatus(err, http.StatusUnauthorized) || isStatus(err, http.StatusTooManyRequests)
}

// unavailable says that the call may succeed later, and that it may have
// succeeded already.
func (op operation) unavailable(cause error) *registry.Error {
	return registry.Unavailable.Wrap(cause, codeUnavailable, fmt.Sprintf("Auth0 is not available: could not %s", op.does))
}

// gone says that the application of the call is not there any more.
func (op operation) gone(err error) *registry.Error {
	return registry.NotFound.Wrap(withoutSecrets(err), codeClientGone, "Auth0 has no application of the agent any more: could not "+op.does)
}

// refusal says what the operator must do.
func (op operation) refusal(e *responseError) string {
	switch {
	case e.path == tokenPath:
		return "Auth0 refuses the control plane's own credentials: check the client id and secret of its management application, and that it is authorized for the Management API"
	case e.isEntityLimit():
		return fmt.Sprintf("Auth0 refused to %s: the tenant's limit is reached; delete what is not used, or upgrade the plan", op.does)
	case e.code == "insufficient_scope":
		return fmt.Sprintf("Auth0 refused to %s: grant the scope %s to the control plane's management application", op.does, op.scope)
	}
	return fmt.Sprintf("Auth0 refused to %s: %s", op.does, cmp.Or(op.advice, "the server's log says why"))
}

// retryAfter reads when to come back: Retry-After in seconds or as a date (RFC
// 9110 section 10.2.3), else Auth0's x-ratelimit-reset in UNIX seconds, which
// means something only when nothing remains. 0 is unknown.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		wait = date.Sub(now)
	} else if reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil && !requestsRemain(h) {
		wait = time.Unix(reset, 0).Sub(now)
	} else {
		return 0
	}
	return min(max(wait, minRetryAfter), maxRetryAfter)
}

func requestsRemain(h http.Header) bool {
	n, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	return err == nil && n > 0
}

// isStatus reports whether err is an answer of Auth0 with that status.
func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*responseError](err)
	return ok && e.status == status
}

// withoutSecrets keeps of err its text, redacted, and whether the context ended.
// The original is dropped, so that no unwrapping brings the secret back.
func withoutSecrets(err error, secrets ...string) error {
	text := redact(err.Error(), secrets...)
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return &cause{text: text, end: end}
		}
	}
	return errors.New(text)
}

// cause is the redacted text of a failure in which a context ended.
type cause struct {
	text string
	end  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.end }
