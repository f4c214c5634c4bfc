package decide

// check is one of the platform's checks, and what is said where it does not hold.
type check struct {
	id, code string
	// judged tells whether the check is made of the call, and holds whether what it
	// asks for is so.
	judged func(*call) bool
	holds  func(*call) bool
}

// checks are all of them. Of what hangs on an unknown nothing is said: an agent that we
// do not know lacks no permission.
var checks = []check{
	{"token", "no_verified_token", always, func(c *call) bool { return c.token.verified }},
	{"token", "token_expired", verified, func(c *call) bool { return c.token.current }},
	{"registry", "registry_stale", verified, func(c *call) bool { return c.fresh }},
	{"agent", "agent_unknown", verified, func(c *call) bool { return c.agentKnown }},
	{"token", "token_revoked", agentKnown, (*call).issuedSince},
	{"agent", "agent_suspended", agentKnown, func(c *call) bool { return !c.agent.Suspended }},
	{"agent", "agent_expired", agentKnown, (*call).inTerm},
	{"resource", "resource_unknown", verified, func(c *call) bool { return c.resourceKnown }},
	{"environment", "environment_mismatch", (*call).both, (*call).deployed},
	{"access", "access_denied", (*call).both, (*call).admitted},
	{"permissions", "missing_permission", (*call).both, (*call).permitted},
}

func always(*call) bool       { return true }
func verified(c *call) bool   { return c.token.verified }
func agentKnown(c *call) bool { return c.agentKnown }

// platform are the reasons of the platform's own checks.
func (c *call) platform() []Reason {
	var reasons []Reason
	for i := range checks {
		if checks[i].judged(c) && !checks[i].holds(c) {
			reasons = append(reasons, platformReason(checks[i].id, checks[i].code))
		}
	}
	return reasons
}
