package registry

import "context"

// Actor is who does something, and in which request.
type Actor struct {
	Subject   string
	RequestID string
}

// Actor returns the caller as the audit log names it, in the request of ctx.
func (c Principal) Actor(ctx context.Context) Actor {
	return Actor{Subject: c.Subject, RequestID: RequestIDFrom(ctx)}
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
	Detail     string // for people; never a secret, never a provider's raw text
}

type requestIDKey struct{}

// WithRequestID returns a context that carries the id of the request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestIDFrom returns the id of the request that ctx belongs to, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
