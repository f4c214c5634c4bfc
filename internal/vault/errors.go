package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/registry"
)

// Codes of this package's errors.
const (
	CodeUnavailable    = "secret_store_unavailable"
	CodeRefused        = "secret_store_refused"
	CodeAliasTaken     = "vault_alias_taken"
	CodeEntityDisabled = "vault_entity_disabled"
	CodeEntityGone     = "vault_entity_gone"
	CodeAliasConflict  = "vault_alias_conflict"
)

// failure is what went wrong with one request, in the store's or the network's
// words but without anything secret. It is the cause of a registry.Error.
type failure struct {
	op     string
	status int    // of HTTP; 0 when there was no answer
	text   string // scrubbed
	ctx    error  // context.Canceled or DeadlineExceeded, when that was it
}

func (f *failure) Error() string {
	if f.status == 0 {
		return fmt.Sprintf("%s: %s", f.op, f.text)
	}
	return fmt.Sprintf("%s: HTTP %d: %s", f.op, f.status, f.text)
}

func (f *failure) Unwrap() error { return f.ctx }

// statusOf is the HTTP status that err came from, or 0.
func statusOf(err error) int {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.status
	}
	return 0
}

// translate gives err the kind that callers act on, keeping its text without
// tokens and secrets as the cause. The library's error is dropped, because
// whoever unwraps that one finds the raw text again.
func translate(err error, op string, secrets []string) error {
	f := &failure{op: op, text: scrub(err.Error(), secrets)}
	for _, c := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, c) {
			f.ctx = c
		}
	}
	if answer, ok := errors.AsType[*api.ResponseError](err); ok {
		f.status = answer.StatusCode
		f.text = scrub(strings.Join(answer.Errors, "; "), secrets)
	}
	switch s := f.status; {
	case s == http.StatusForbidden:
		return registry.Refused.Wrap(f, CodeRefused,
			"The secret store denies this to the control plane; an operator must run `credence setup vault`.")
	case s == http.StatusNotFound:
		return registry.Refused.Wrap(f, CodeRefused,
			"The secret store lacks what the control plane needs; an operator must run `credence setup vault`.")
	case s >= 400 && s < 500 && !transient4xx(s):
		return registry.Refused.Wrap(f, CodeRefused,
			"The secret store refused the request; an operator must look at the control plane's log.")
	default:
		return unavailable(f)
	}
}

// transient4xx are the statuses below 500 that time may mend: timeouts, limits,
// and a node that is behind or a standby (412, 472 and 473 are Vault's own use).
func transient4xx(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusPreconditionFailed, http.StatusTooManyRequests, 472, 473:
		return true
	}
	return false
}

// unavailable does not say when to come back: the store does not, and whoever
// repeats the call has a pace of their own.
func unavailable(cause error) error {
	return registry.Unavailable.Wrap(cause, CodeUnavailable, "The secret store is not available.")
}

// tokenRE finds tokens of OpenBao (s.…), Vault (hvs.…, hvb.…, hvr.…) and of this
// control plane (crd_…).
var tokenRE = regexp.MustCompile(`\b(?:(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9]+)?|crd_[A-Za-z0-9_-]{16,})`)

// scrub takes the given secrets, and whatever looks like a token, out of s.
func scrub(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return tokenRE.ReplaceAllString(s, "[redacted]")
}
