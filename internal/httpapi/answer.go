package httpapi

import (
	"math"
	"net/http"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/rulebook"
)

// answer is a response that several operations have in common: in openapi.yaml too
// it is one.
type answer func(http.ResponseWriter) error

// The operations that answer alike.

// VisitCreateAgentResponse writes the answer, as do the others.
func (a answer) VisitCreateAgentResponse(w http.ResponseWriter) error            { return a(w) }
func (a answer) VisitPatchAgentResponse(w http.ResponseWriter) error             { return a(w) }
func (a answer) VisitDeleteAgentResponse(w http.ResponseWriter) error            { return a(w) }
func (a answer) VisitSuspendAgentResponse(w http.ResponseWriter) error           { return a(w) }
func (a answer) VisitResumeAgentResponse(w http.ResponseWriter) error            { return a(w) }
func (a answer) VisitTransferAgentResponse(w http.ResponseWriter) error          { return a(w) }
func (a answer) VisitRotateAgentCredentialsResponse(w http.ResponseWriter) error { return a(w) }
func (a answer) VisitPutEnvironmentResponse(w http.ResponseWriter) error         { return a(w) }
func (a answer) VisitDeleteEnvironmentResponse(w http.ResponseWriter) error      { return a(w) }
func (a answer) VisitPutAgentTypeResponse(w http.ResponseWriter) error           { return a(w) }
func (a answer) VisitDeleteAgentTypeResponse(w http.ResponseWriter) error        { return a(w) }
func (a answer) VisitPutTeamResponse(w http.ResponseWriter) error                { return a(w) }
func (a answer) VisitDeleteTeamResponse(w http.ResponseWriter) error             { return a(w) }
func (a answer) VisitPutResourceResponse(w http.ResponseWriter) error            { return a(w) }
func (a answer) VisitDeleteResourceResponse(w http.ResponseWriter) error         { return a(w) }

// dryRun answers a write that was only rehearsed.
func dryRun(d api.DryRun) answer {
	d.DryRun = true
	if d.Plan == nil {
		d.Plan = []api.PlannedCall{}
	}
	return api.DeleteAgent200JSONResponse{DryRunAnswerJSONResponse: api.DryRunAnswerJSONResponse(d)}.VisitDeleteAgentResponse
}

// rulebookFor is the rulebook, or the one whose writes keep nothing.
func (s *Server) rulebookFor(rehearsed bool) *rulebook.Service {
	if rehearsed {
		return s.rehearsal.Rulebook
	}
	return s.rulebook
}

// resourcesFor is the same for resources.
func (s *Server) resourcesFor(rehearsed bool) *resources.Service {
	if rehearsed {
		return s.rehearsal.Resources
	}
	return s.resources
}

// wouldBe answers a change of an agent that was only rehearsed.
func (s *Server) wouldBe(before, after registry.Agent) answer {
	wire := s.agentToAPI(after)
	d := api.DryRun{Agent: &wire}
	for _, call := range agents.Plan(before, after) {
		d.Plan = append(d.Plan, api.PlannedCall{Provider: call.Provider, Action: call.Action, Object: call.Object})
	}
	return dryRun(d)
}

// changed answers a change of an agent: 200 when the providers have followed, 202
// while they have not.
func (s *Server) changed(a registry.Agent) answer {
	if a.Convergence.Converged() {
		return api.PatchAgent200JSONResponse{ChangedAgentJSONResponse: api.ChangedAgentJSONResponse{
			Headers: api.ChangedAgentResponseHeaders{ETag: etag(a.Tag())}, Body: s.agentToAPI(a),
		}}.VisitPatchAgentResponse
	}
	location := locationOf(a)
	return api.PatchAgent202JSONResponse{AcceptedAgentJSONResponse: api.AcceptedAgentJSONResponse{
		Headers: api.AcceptedAgentResponseHeaders{Location: &location, ETag: etag(a.Tag()), RetryAfter: s.lookAgain(a)}, Body: s.agentToAPI(a),
	}}.VisitPatchAgentResponse
}

// locationOf is where an agent is found.
func locationOf(a registry.Agent) string { return "/agents/" + a.Name }

// lookAgain is in how many seconds there may be news of an agent that is being
// worked on.
func (s *Server) lookAgain(a registry.Agent) *int {
	const most = 30
	wait := a.Convergence.DueAt.Sub(s.now())
	seconds := int(math.Ceil(min(wait, most*time.Second).Seconds()))
	seconds = max(1, seconds)
	return &seconds
}
