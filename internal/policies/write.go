package policies

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// Write is on which state a policy is written, and how.
type Write struct {
	// Pre must name a state, or with If-None-Match: * none: who writes a policy says
	// what it knows to be there. If-Match: * says that something is, whatever it is.
	Pre registry.Precondition
	// DeniesEveryone says that the caller wants the policy though it denies every
	// call of those whom it is about.
	DeniesEveryone bool
}

// What writes are called in a policy's versions.
const (
	put      = "put"
	rollback = "rollback"
)

// Put creates or replaces the policy that p names and reports whether it created it.
//
// It returns PreconditionRequired; Forbidden when the caller may not write the
// policy or change what bounds it, or when the team is blocked; NotFound when there
// is no such agent or agent type; Invalid with what is wrong with its Rego, or with
// the code denies_everyone; PreconditionFailed; Conflict where there are too many;
// and Unavailable while nobody would enforce the policy or the gate is busy.
func (s *Service) Put(ctx context.Context, by registry.Principal, p registry.Policy, w Write) (saved registry.Policy, created bool, err error) {
	key, err := named(p.LayerKey)
	if err != nil {
		return registry.Policy{}, false, err
	}
	p.LayerKey = key
	return s.write(ctx, by, p, put, w)
}

// Rollback makes the policy again what it was in that version, as a new one. It is
// judged as a Put of that would be, and returns NotFound too when there is no such
// version, and Invalid when the version is a deletion.
func (s *Service) Rollback(ctx context.Context, by registry.Principal, key registry.LayerKey, version int64, w Write) (registry.Policy, error) {
	key, err := named(key)
	if err != nil {
		return registry.Policy{}, err
	}
	then, err := s.Version(ctx, key, version)
	if err != nil {
		return registry.Policy{}, err
	}
	if then.Deleted {
		return registry.Policy{}, registry.Invalid.Errorf("invalid_rollback", "there is nothing to go back to").
			With(registry.FieldError{Pointer: "/version", Code: "deleted", Detail: "is a deletion; name the version before it, or delete the policy"})
	}
	saved, _, err := s.write(ctx, by, then.Policy, rollback, w)
	return saved, err
}

// write is Put of a policy whose name is in its one spelling.
func (s *Service) write(ctx context.Context, by registry.Principal, p registry.Policy, action string, w Write) (registry.Policy, bool, error) {
	if err := required(w.Pre); err != nil {
		return registry.Policy{}, false, err
	}
	j := judge(by, p)
	about, err := s.admit(ctx, p.LayerKey, w.Pre, j)
	if err != nil {
		return registry.Policy{}, false, err
	}
	v, err := s.view()
	if err != nil {
		return registry.Policy{}, false, err
	}
	_, everyone, err := s.check(ctx, v, p, about)
	if err != nil {
		return registry.Policy{}, false, err
	}
	if err := meant(everyone, w.DeniesEveryone); err != nil {
		return registry.Policy{}, false, err
	}
	return s.store.PutPolicy(ctx, p, action, w.Pre, j, by.Actor(ctx))
}

// Delete removes the policy; its versions stay. It returns PreconditionRequired,
// Forbidden as Put does, also when the policy is required or has a ceiling and the
// caller is no admin, NotFound, PreconditionFailed, and Unavailable while nobody
// would notice.
func (s *Service) Delete(ctx context.Context, by registry.Principal, key registry.LayerKey, pre registry.Precondition) error {
	key, err := named(key)
	if err != nil {
		return err
	}
	if err := required(pre); err != nil {
		return err
	}
	j := judge(by, registry.Policy{LayerKey: key})
	if _, err := s.admit(ctx, key, pre, j); err != nil {
		return err
	}
	if _, err := s.view(); err != nil {
		return err
	}
	return s.store.DeletePolicy(ctx, key, pre, j, by.Actor(ctx))
}

// Validate finds out what a Put of p would, and keeps nothing. Who may write p and
// what is there already it does not ask. It returns NotFound, Invalid and
// Unavailable as Put does; that p denies everyone is told, not refused.
func (s *Service) Validate(ctx context.Context, p registry.Policy) (Verdict, error) {
	key, err := named(p.LayerKey)
	if err != nil {
		return Verdict{}, err
	}
	p.LayerKey = key
	about, err := s.subjectOf(ctx, key)
	if err != nil {
		return Verdict{}, err
	}
	v, err := s.view()
	if err != nil {
		return Verdict{}, err
	}
	verdict, _, err := s.check(ctx, v, p, about)
	return verdict, err
}

// required returns PreconditionRequired unless pre says what the caller knows to be
// there. That it is anything but some state says too little.
func required(pre registry.Precondition) error {
	if pre.IfMatch != nil || (pre.IfNoneMatch != nil && pre.IfNoneMatch.Any) {
		return nil
	}
	return registry.PreconditionRequired.Errorf("precondition_required",
		"send the ETag of the policy that you change as If-Match, or If-None-Match: * to create one")
}
