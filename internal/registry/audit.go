package registry

import (
	"context"
	"encoding/json"
	"time"
)

// Actor is who does something, and in which request.
type Actor struct {
	Subject   string
	RequestID string
	Source    string // address that the request came from; "" for what the control plane does itself
}

// Actor returns the caller as the audit log names it, in the request of ctx.
func (c Principal) Actor(ctx context.Context) Actor {
	return Actor{Subject: c.Subject, RequestID: RequestIDFrom(ctx), Source: SourceFrom(ctx)}
}

// Outcome is how an audited action went.
type Outcome string

// The outcomes. An intent is written before another system is called, so that
// what was begun is known even if we do not live to see it end.
const (
	Intent  Outcome = "intent"
	Success Outcome = "success"
	Failure Outcome = "failure"
	Denied  Outcome = "denied"
)

// AuditEvent is one row of the audit log.
type AuditEvent struct {
	Actor      Actor
	Action     string // such as agent.register
	Outcome    Outcome
	ObjectKind string // such as agent
	ObjectID   string
	ObjectName string
	Team       string
	Detail     string          // for people; never a secret, never a provider's raw text
	Before     json.RawMessage // the object as the API showed it; nil: there was none, or it says nothing
	After      json.RawMessage
	Generation int64     // of the agent, that the event is about; 0 for anything else
	ID         int64     // order of the log; set when it is read
	At         time.Time // set when it is read
}

// AuditFilter selects events. A zero field does not restrict.
type AuditFilter struct {
	Teams  []string // of one of these teams; nil: of all
	Agent  string   // id, or name at the time
	Actor  string
	Action string
	From   time.Time // inclusive
	Until  time.Time // exclusive
	Before int64     // ids below it: the newest come first
	Limit  int
}

type requestIDKey struct{}

type sourceKey struct{}

// WithSource returns a context that carries the address the request came from.
func WithSource(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, sourceKey{}, address)
}

// SourceFrom returns the address that the request of ctx came from, or "".
func SourceFrom(ctx context.Context) string {
	source, _ := ctx.Value(sourceKey{}).(string)
	return source
}

// WithRequestID returns a context that carries the id of the request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestIDFrom returns the id of the request that ctx belongs to, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
