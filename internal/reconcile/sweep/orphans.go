package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// sweeper is who removes orphans, in the audit log.
var sweeper = registry.Actor{Subject: "credence:sweep"}

// What an orphan is, in a Drift: the agent that its client should be of.
const (
	fieldAgent   = "agent"
	fieldOutcome = "intent"
)

// maxRemoved bounds how many orphans a sweep removes.
const maxRemoved = 20

// noteTimeout is how much longer than its context a sweep may last.
const noteTimeout = time.Second

// removable is how many of the installation's clients one sweep may remove: 1 %,
// and at most 20. A fault of ours takes few down before somebody sees the log.
func removable(clients int) int { return max(1, min(maxRemoved, clients/100)) }

// orphans deals with the clients of this installation that no living agent has.
//
// Those whose intent this database names as abandoned are removed: the registry
// gave up on the attempt when it was certain that no client had come of it, or had
// removed the one that had, or its agent is gone for good. What is so, stays so:
// an intent that a restored or copied database calls abandoned was abandoned where
// that was written, too. A client that came after the backup carries an intent
// that this database has never heard of, and is reported (invariant C4). So is one
// that is on record as some agent's: whatever an intent says, a client that once
// worked is not removed here.
func (r *run) orphans(ctx context.Context) error {
	candidates, err := r.candidates(ctx)
	if err != nil || len(candidates) == 0 {
		return err
	}
	intents := make([]string, 0, len(candidates))
	for _, c := range candidates {
		if registry.IsUUID(c.IntentID) {
			intents = append(intents, c.IntentID)
		}
	}
	abandoned, err := r.o.Store.AbandonedIntents(ctx, intents, r.o.Settle)
	if err != nil {
		return err
	}
	for _, c := range candidates {
		remove := abandoned[c.IntentID] && r.removed < removable(len(r.clients))
		if remove {
			// A client that became an agent's, whatever made it, is not ours to remove.
			had, err := r.o.Store.IsAgentClient(ctx, c.ClientID)
			if err != nil {
				return err
			}
			remove = !had
		}
		if !remove {
			if err := r.report(ctx, orphan(c, abandoned[c.IntentID])); err != nil {
				return err
			}
			continue
		}
		if err := r.remove(ctx, c); err != nil {
			return err
		}
		r.removed++
	}
	return nil
}

// candidates are the clients that belong to no agent, as far as can be said: of
// one whose agent is being worked on, or was while this sweep looked, nothing can.
func (r *run) candidates(ctx context.Context) ([]registry.ProviderClient, error) {
	var candidates []registry.ProviderClient
	for _, c := range r.clients {
		if r.owned[c.ClientID] {
			continue
		}
		settled, err := r.settled(ctx, c)
		if err != nil {
			return nil, err
		}
		if settled {
			candidates = append(candidates, c)
		}
	}
	return candidates, nil
}

// settled reports whether nobody works on the agent that the client names, or
// there is none.
func (r *run) settled(ctx context.Context, c registry.ProviderClient) (bool, error) {
	if !registry.IsUUID(c.AgentID) {
		return true, nil
	}
	a, err := r.o.Store.Agent(ctx, c.AgentID, true)
	if errors.Is(err, registry.NotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if a.Lifecycle == registry.Active {
		return r.unchanged(a) && a.ClientID != c.ClientID, nil
	}
	return steady(a), nil
}

// orphan describes a client that no agent has.
func orphan(c registry.ProviderClient, abandoned bool) registry.Drift {
	d := registry.Drift{
		Provider: auth0, ObjectKind: kindClient, ObjectID: quote(c.ClientID),
		Field: fieldAgent, Expected: absent, Found: quote(c.AgentID), Action: registry.DriftReported,
	}
	if abandoned {
		d.Field, d.Found = fieldOutcome, "abandoned"
	}
	return d
}

// remove deletes an orphan at the identity provider.
func (r *run) remove(ctx context.Context, c registry.ProviderClient) error {
	event := registry.AuditEvent{
		Actor: sweeper, Action: "client.remove", Outcome: registry.Intent, ObjectKind: kindClient, ObjectID: c.ClientID,
		ObjectName: quote(c.Name), Detail: "the attempt " + c.IntentID + " that made it was abandoned",
	}
	if err := r.o.Store.RecordAudit(ctx, event); err != nil {
		return err
	}
	err := r.o.Clients.DeleteClient(ctx, c.ClientID)
	event.Outcome = registry.Success
	if err != nil {
		event.Outcome = registry.Failure
	}
	// What was begun is on record, even when the sweep was cut short meanwhile.
	noteCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := errors.Join(err, r.o.Store.RecordAudit(noteCtx, event)); err != nil {
		return fmt.Errorf("remove an orphan: %w", err)
	}
	d := orphan(c, true)
	d.Action = registry.DriftRemoved
	r.o.Log.WarnContext(ctx, "an orphan was removed", "client_id", c.ClientID, "intent_id", c.IntentID)
	return r.report(ctx, d)
}
