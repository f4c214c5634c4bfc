package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/credenceproject/credence/api"
)

// tellDecisions shows what a real OPA says of the agent's calls, and that a change
// in the registry is what it says a moment later.
func (s *devStack) tellDecisions(ctx context.Context, token string) error {
	s.tell.title("OPA decides on the agent's calls: POST " + s.info.OPA + "/v1/data/mcp/authz/decision")
	// The agent is younger than OPA's bundle: it decides on it within a poll.
	d, _, err := s.awaitDecision(ctx, token, demoSkill, true)
	if err != nil {
		return err
	}
	s.tell.allowed("POST "+demoSkill, fmt.Sprintf("by revision %d", d.Revision))
	if d, err = s.decide(ctx, token, demoSink); err != nil {
		return err
	}
	if d.Allow {
		return fmt.Errorf("OPA allowed a call to %s, whose owner admits nobody", demoSink)
	}
	s.tell.denied("POST "+demoSink, reasonsOf(d))

	s.tell.title("The owner of " + demoSink + " admits the team: PUT /resources/" + demoSink)
	admit := call{method: "PUT", url: s.info.API + "/resources/" + demoSink, bearer: s.info.AdminToken, json: billing(devTeam)}
	if err := admit.must(ctx, nil); err != nil {
		return err
	}
	d, took, err := s.awaitDecision(ctx, token, demoSink, true)
	if err != nil {
		return err
	}
	s.tell.allowed("POST "+demoSink, fmt.Sprintf("by revision %d, %s after the change (its poll was held)", d.Revision, since(took)))
	if err := s.tellPolicy(ctx, token); err != nil {
		return err
	}
	return s.tellSuspension(ctx, token)
}

// tellPolicy shows a team's own rule, which binds its agents whatever others admit.
func (s *devStack) tellPolicy(ctx context.Context, token string) error {
	path := "/policies/team/" + devTeam
	s.tell.title("The agent's team says that people pay, and agents do not: PUT " + path)
	rule := map[string]any{
		"code": "no_payments", "effect": "deny", "message": "People pay, agents do not",
		"when": map[string]any{"resources": []string{demoSink}, "methods": []string{"POST", "PUT"}},
	}
	write := call{method: "PUT", url: s.info.API + path, bearer: s.info.DeveloperToken, creates: true, json: map[string]any{"rules": []any{rule}}}
	if err := write.must(ctx, nil); err != nil {
		return err
	}
	d, took, err := s.awaitDecision(ctx, token, demoSink, false)
	if err != nil {
		return err
	}
	s.tell.denied("POST "+demoSink, fmt.Sprintf("%s, %s after the change", reasonsOf(d), since(took)))

	s.tell.title("It thinks better of it: DELETE " + path)
	if err := (call{method: "DELETE", url: s.info.API + path, bearer: s.info.DeveloperToken, replaces: true}).must(ctx, nil); err != nil {
		return err
	}
	if d, took, err = s.awaitDecision(ctx, token, demoSink, true); err != nil {
		return err
	}
	s.tell.allowed("POST "+demoSink, fmt.Sprintf("by revision %d, %s after the change", d.Revision, since(took)))
	return nil
}

// since is how long something took, as people read it.
func since(took time.Duration) string {
	if took < time.Second {
		return fmt.Sprintf("%d ms", took.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", took.Seconds())
}

// tellSuspension shows that a suspended agent is denied though its token is good,
// and that it works again when it is resumed.
func (s *devStack) tellSuspension(ctx context.Context, token string) error {
	for _, act := range []struct {
		title, action, reason string
		allow                 bool
	}{
		{"Somebody suspects a leak and suspends the agent", "suspend", "its secret may have leaked", false},
		{"It was a false alarm: the agent is resumed", "resume", "it had not", true},
	} {
		path := "/agents/" + demoAgent + "/" + act.action
		s.tell.title(act.title + ": POST " + path)
		change := call{method: "POST", url: s.info.API + path, bearer: s.info.DeveloperToken, json: map[string]string{"reason": act.reason}}
		if err := change.must(ctx, nil); err != nil {
			return err
		}
		d, took, err := s.awaitDecision(ctx, token, demoSkill, act.allow)
		if err != nil {
			return err
		}
		if act.allow {
			s.tell.allowed("POST "+demoSkill, fmt.Sprintf("by revision %d, %s after the change", d.Revision, since(took)))
			continue
		}
		s.tell.denied("POST "+demoSkill, fmt.Sprintf("%s, %s after the change, with the same token", reasonsOf(d), since(took)))
	}
	return nil
}

// decide asks OPA.
func (s *devStack) decide(ctx context.Context, token, resource string) (api.Decision, error) {
	claims, err := claimsOf(token)
	if err != nil {
		return api.Decision{}, err
	}
	var answer struct{ Result api.Decision }
	err = call{method: "POST", url: s.info.OPA + "/v1/data/mcp/authz/decision", json: map[string]any{"input": map[string]any{
		"jwt":      map[string]any{"valid": true, "payload": claims},
		"request":  map[string]any{"method": "POST", "path": []string{}},
		"resource": map[string]any{"type": "", "id": resource},
	}}}.must(ctx, &answer)
	return answer.Result, err
}

// awaitDecision asks OPA until it says what is wanted, and how long that took.
func (s *devStack) awaitDecision(ctx context.Context, token, resource string, allow bool) (d api.Decision, took time.Duration, err error) {
	began := time.Now()
	err = poll(ctx, 10*time.Second, func() (bool, error) {
		d, err = s.decide(ctx, token, resource)
		return d.Allow == allow, err
	})
	if err != nil {
		return d, 0, fmt.Errorf("OPA still says of %s: %s: %w", resource, reasonsOf(d), err)
	}
	return d, time.Since(began), nil
}

func reasonsOf(d api.Decision) string {
	reasons := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		reasons[i] = fmt.Sprintf("%s (%s/%s)", r.Code, r.Tier, r.ID)
	}
	return strings.Join(reasons, ", ")
}
