package registry

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a failure means to the caller, whatever layer it came from.
// A Kind is itself an error, so errors.Is(err, registry.NotFound) asks whether
// anything in err's chain is of that kind.
type Kind string

// The kinds of failure that callers can act on.
const (
	Malformed            Kind = "malformed"             // not a JSON document at all
	TooLarge             Kind = "too large"             // more bytes than we read
	UnsupportedMedia     Kind = "unsupported media"     // a content type we do not read
	Invalid              Kind = "invalid"               // well-formed but wrong; do not repeat it
	Unauthenticated      Kind = "unauthenticated"       // no token, or one that we do not trust
	Forbidden            Kind = "forbidden"             // we know the caller, who may not do it
	NotFound             Kind = "not found"             // nothing of that name
	Conflict             Kind = "conflict"              // the current state forbids it
	PreconditionFailed   Kind = "precondition failed"   // If-Match names another state
	PreconditionRequired Kind = "precondition required" // If-Match is missing where it must be
	Gone                 Kind = "gone"                  // it was there and is not kept any more: begin anew
	TooManyRequests      Kind = "too many requests"     // slow down
	Refused              Kind = "refused"               // a provider said no for good; repeating does not help
	Unavailable          Kind = "unavailable"           // something we need is away; repeating may help
)

// ErrNotDone marks the failure of a call to another system that surely did
// nothing there, whatever the kind of the failure: it was never sent, or was
// turned away before anybody looked at what it asks for.
var ErrNotDone = errors.New("nothing was done")

// ErrUnchanged says that a change would change nothing.
var ErrUnchanged = errors.New("nothing to change")

// ErrLeaseLost says that somebody else works on the agent now: the caller must
// not write what it found out, nor hand it to anybody.
var ErrLeaseLost = errors.New("the lease was lost")

// Error makes a Kind a target for errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is a failure whose Message, Code and Fields may be shown to the caller.
// Err, the cause, is for the log only and never leaves the server.
type Error struct {
	Kind       Kind
	Code       string // stable, snake_case; part of the wire
	Message    string
	Fields     []FieldError
	RetryAfter time.Duration // when repeating makes sense; 0 is unknown
	Err        error
}

// FieldError says what is wrong with one place in a document.
type FieldError struct {
	Pointer string // JSON Pointer (RFC 6901), such as /scopes/0; "" is the whole document
	Code    string // stable: the JSON Schema keyword, or the rule that failed
	Detail  string
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

// Unwrap gives errors.Is both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Errorf returns an Error of kind k with a code and a message for the caller.
func (k Kind) Errorf(code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error of kind k that shows message to the caller and keeps
// err for the log.
func (k Kind) Wrap(err error, code, message string) *Error {
	return &Error{Kind: k, Code: code, Message: message, Err: err}
}

// With returns a copy of e that points at the given places of the document.
func (e *Error) With(fields ...FieldError) *Error {
	c := *e
	c.Fields = append(append([]FieldError(nil), e.Fields...), fields...)
	return &c
}

// AsError returns the first Error in err's chain.
func AsError(err error) (*Error, bool) {
	return errors.AsType[*Error](err)
}
