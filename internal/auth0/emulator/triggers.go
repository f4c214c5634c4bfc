package emulator

import (
	"net/http"
	"slices"
)

const (
	triggerCredentialsExchange = "credentials-exchange"
	defaultRuntime             = "node18"
)

var runtimes = []string{"node12", "node16", "node18", "node22"}

// trigger is a point at which Actions run. Only credentials-exchange runs them
// here; the others can be bound, as in a tenant.
type trigger struct {
	id, version, status string
}

// triggers lists the versions of each trigger that the recordings know.
var triggers = []trigger{
	{"post-login", "v1", "DEPRECATED"},
	{"post-login", "v2", "DEPRECATED"},
	{"post-login", "v3", "CURRENT"},
	{triggerCredentialsExchange, "v1", "DEPRECATED"},
	{triggerCredentialsExchange, "v2", "CURRENT"},
	{"pre-user-registration", "v1", "DEPRECATED"},
	{"pre-user-registration", "v2", "CURRENT"},
	{"post-user-registration", "v1", "DEPRECATED"},
	{"post-user-registration", "v2", "CURRENT"},
	{"post-change-password", "v1", "DEPRECATED"},
	{"post-change-password", "v2", "CURRENT"},
	{"send-phone-message", "v1", "DEPRECATED"},
	{"send-phone-message", "v2", "CURRENT"},
	{"custom-token-exchange", "v1", "CURRENT"},
	{"password-hash-migration", "v1", "CURRENT"},
}

func knownTrigger(id string) bool {
	return slices.ContainsFunc(triggers, func(t trigger) bool { return t.id == id })
}

func (e *Emulator) listTriggers(_ http.ResponseWriter, r *http.Request) (reply, error) {
	if _, err := parseQuery(r, nil); err != nil {
		return reply{}, err
	}
	docs := []document{}
	for _, t := range triggers {
		docs = append(docs, document{
			"id": t.id, "version": t.version, "status": t.status,
			"runtimes": runtimes, "default_runtime": defaultRuntime, "compatible_triggers": []any{},
		})
	}
	return reply{http.StatusOK, document{"triggers": docs}}, nil
}
