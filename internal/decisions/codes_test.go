package decisions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	triage  = &Agent{ID: "id-of-triage", Name: "triage", Team: "customer-success", AgentType: "support", Environment: "production"}
	sleeper = &Agent{ID: "id-of-sleeper", Name: "sleeper", Team: "customer-success", AgentType: "support", Environment: "production"}
	gone    = &Agent{ID: "id-of-gone", Name: "gone", Team: "customer-success", AgentType: "support", Environment: "production"}
	temp    = &Agent{ID: "id-of-temp", Name: "temp", Team: "customer-success", AgentType: "support", Environment: "production"}
	leaky   = &Agent{ID: "id-of-leaky", Name: "leaky", Team: "customer-success", AgentType: "support", Environment: "production"}
	reader  = &Agent{ID: "id-of-reader", Name: "reader", Team: "customer-success", AgentType: "support", Environment: "production"}
	tester  = &Agent{ID: "id-of-tester", Name: "tester", Team: "customer-success", AgentType: "support", Environment: "staging"}
	careful = &Agent{ID: "id-of-careful", Name: "careful", Team: "customer-success", AgentType: "support", Environment: "sealed"}
	mute    = &Agent{ID: "id-of-mute", Name: "mute", Team: "platform", AgentType: "support", Environment: "production"}
	hello   = &Resource{Name: "hello-skill", Type: "skill", Team: "platform"}
	ledger  = &Resource{Name: "ledger", Type: "data_source", Team: "payments"}
)

func deny(id, code string) []Reason { return []Reason{{Tier: "platform", ID: id, Code: code}} }

// Every code that the platform policy can give so far.
func TestPlatformPolicySaysWhy(t *testing.T) {
	t.Parallel()
	invoker := claims("triage@clients", "skills:invoke")
	for name, c := range map[string]struct {
		environment string
		query       Query
		want        Decision
	}{
		"allowed": {
			"production", call(invoker),
			Decision{Allow: true, Reasons: []Reason{}, Agent: triage, Resource: hello, Revision: 41},
		},
		"token not verified": {
			"production", Query{Claims: invoker, Method: "POST", Resource: "hello-skill"},
			Decision{Reasons: deny("token", "no_verified_token"), Resource: hello, Revision: 41},
		},
		"token without claims": {
			"production", Query{TokenValid: true, Method: "POST", Resource: "hello-skill"},
			Decision{
				Reasons:  append(deny("agent", "agent_unknown"), deny("token", "token_expired")...),
				Resource: hello, Revision: 41,
			},
		},
		"token expired": {
			"production", call(with(invoker, "exp", 1)),
			Decision{Reasons: deny("token", "token_expired"), Agent: triage, Resource: hello, Revision: 41},
		},
		"agent unknown": {
			"production", call(claims("nobody@clients", "skills:invoke")),
			Decision{Reasons: deny("agent", "agent_unknown"), Resource: hello, Revision: 41},
		},
		"agent of another environment": {
			"production", call(claims("tester@clients", "skills:invoke")),
			Decision{Reasons: deny("agent", "agent_unknown"), Resource: hello, Revision: 41},
		},
		"agent suspended": {
			"production", call(claims("sleeper@clients", "skills:invoke")),
			Decision{Reasons: deny("agent", "agent_suspended"), Agent: sleeper, Resource: hello, Revision: 41},
		},
		"agent expired": {
			"production", call(claims("gone@clients", "skills:invoke")),
			Decision{Reasons: deny("agent", "agent_expired"), Agent: gone, Resource: hello, Revision: 41},
		},
		"agent that expires one day": {
			"production", call(claims("temp@clients", "skills:invoke")),
			Decision{Allow: true, Reasons: []Reason{}, Agent: temp, Resource: hello, Revision: 41},
		},
		"token revoked": {
			"production", call(with(claims("leaky@clients", "skills:invoke"), "iat", 1700000000)),
			Decision{Reasons: deny("token", "token_revoked"), Agent: leaky, Resource: hello, Revision: 41},
		},
		"token that does not say when it was issued": {
			"production", call(claims("leaky@clients", "skills:invoke")),
			Decision{Reasons: deny("token", "token_revoked"), Agent: leaky, Resource: hello, Revision: 41},
		},
		"token issued since the others were revoked": {
			"production", call(with(claims("leaky@clients", "skills:invoke"), "iat", 1700000001)),
			Decision{Allow: true, Reasons: []Reason{}, Agent: leaky, Resource: hello, Revision: 41},
		},
		"permission that the agent holds no more": {
			"production", call(claims("mute@clients", "skills:invoke")),
			Decision{Reasons: deny("permissions", "missing_permission"), Agent: mute, Resource: hello, Revision: 41},
		},
		"resource unknown": {
			"production", Query{Claims: invoker, TokenValid: true, Method: "POST", Resource: "nothing"},
			Decision{Reasons: deny("resource", "resource_unknown"), Agent: triage, Revision: 41},
		},
		"not deployed": {
			"staging", call(claims("tester@clients", "skills:invoke")),
			Decision{Reasons: deny("environment", "environment_mismatch"), Agent: tester, Resource: hello, Revision: 40},
		},
		"not admitted": {
			"production", Query{Claims: claims("reader@clients", "data:read", "ledger:read"), TokenValid: true, Method: "GET", Resource: "ledger"},
			Decision{Reasons: deny("access", "access_denied"), Agent: reader, Resource: ledger, Revision: 41},
		},
		"permission missing": {
			"production", call(claims("triage@clients", "data:read")),
			Decision{Reasons: deny("permissions", "missing_permission"), Agent: triage, Resource: hello, Revision: 41},
		},
		"no grant where grants are explicit": {
			"sealed", call(claims("careful@clients", "skills:invoke")),
			Decision{Reasons: deny("grants", "no_grant"), Agent: careful, Resource: hello, Revision: 39},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustDecide(t, patientEvaluator(), viewOf(platform()), c.environment, c.query)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// Claims that are not what they should be never open anything, and never stop
// the evaluation.
func TestOddClaimsDeny(t *testing.T) {
	t.Parallel()
	e, v := patientEvaluator(), viewOf(platform())
	for claim, subject := range map[string]string{
		"sub": "triage@clients", "permissions": "triage@clients", "exp": "triage@clients", "nbf": "triage@clients", "iat": "leaky@clients",
	} {
		for _, value := range odd {
			q := call(with(claims(subject, "skills:invoke"), claim, value))
			d := mustDecide(t, e, v, "production", q)
			if d.Fault != nil || d.Allow && !harmless(claim, value) {
				t.Errorf("%s is %#v: %+v", claim, value, d)
			}
		}
	}
}

// harmless are the odd values that say what a good one says.
func harmless(claim string, value any) bool {
	switch list := value.(type) {
	case []any:
		return claim == "permissions" && len(list) == 3
	case []string:
		return claim == "permissions"
	case float64:
		return (claim == "exp" || claim == "iat") && list > forever || claim == "nbf" && list == 1.5
	case int:
		return claim == "nbf"
	case uint8:
		return claim == "nbf"
	default: // a number too large for others, and minus zero
		return (claim == "exp" || claim == "iat") && value == odd[9] || claim == "nbf" && value == odd[10]
	}
}
