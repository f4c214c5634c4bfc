package decisions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the policy of version 1 reads of an agent, in short.
const version1 = `package mcp.authz

agent := data.registry.agents[substring(crypto.sha256(input.jwt.payload.sub), 0, 2)][input.jwt.payload.sub]

decision := {
	"allow": allow, "allowed": allow,
	"reasons": [{"tier": "platform", "id": "agent", "code": "agent_suspended"} | not allow],
	"revision": data.registry.meta.revision,
}

default allow := false

allow if {
	data.registry.meta.layout == 1
	agent.suspended == false
}`

// The server and its OPAs run the policy that is active, and that may be one which
// knows nothing of expiry and revocation. It opens nothing that it should not.
func TestInvariant_B2_AnOlderPolicyOpensNoAgentThatItCannotJudge(t *testing.T) {
	t.Parallel()
	v := viewOf(policyOf(version1))
	s := serviceOf(v)
	got := map[string][]string{}
	for _, name := range []string{"triage", "sleeper", "gone", "temp", "leaky", "mute"} {
		d, err := s.Access(t.Context(), name, "hello-skill", "POST", "/")
		if err != nil {
			t.Fatal(err)
		}
		got[name] = codes(d)
	}
	shut := []string{"agent_suspended"}
	want := map[string][]string{"triage": {}, "mute": {}, "sleeper": shut, "gone": shut, "temp": shut, "leaky": shut}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}
