package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/api"
)

// printAgent writes all that there is to see of an agent.
func printAgent(w io.Writer, a api.Agent) {
	rows := append(summary(a),
		[]string{"Owner", a.Owner},
		[]string{"Description", a.Description},
		[]string{"Scopes", strings.Join(a.Scopes, ", ")},
		[]string{"Capabilities", capabilities(a.Capabilities)},
		[]string{"Labels", labels(a.Labels)},
		[]string{"Config", configText(a)},
		[]string{"Quota", quota(a.Quota)},
		[]string{"Client ID", deref(a.Identity.ClientID)},
		[]string{"Token subject", deref(a.Identity.Subject)},
		[]string{"Vault entity", a.Secrets.Entity},
		[]string{"Authentication", string(a.Authentication)},
		[]string{"Credentials", "generation " + strconv.FormatInt(a.CredentialGeneration, 10)},
		[]string{"Credentials until", optionalMoment(a.CredentialsExpireAt)},
		[]string{"Expires", optionalMoment(a.ExpiresAt)},
		[]string{"Tokens valid from", optionalMoment(a.TokensValidAfter)},
		[]string{"Suspended because", deref(a.SuspendReason)},
		[]string{"Converged", converged(a)},
		[]string{"Revision", strconv.FormatInt(a.Revision, 10)},
		[]string{"Created", moment(a.CreatedAt) + " by " + a.CreatedBy},
		[]string{"Updated", moment(a.UpdatedAt)},
	)
	if a.DecommissionedAt != nil {
		rows = append(rows, []string{"Decommissioned", moment(*a.DecommissionedAt)})
	}
	table(w, withValue(rows)...)
	conditions := [][]string{{"CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"}}
	for _, c := range a.Conditions {
		conditions = append(conditions, []string{string(c.Type), string(c.Status), moment(c.LastTransitionTime), c.Reason, c.Message})
	}
	fmt.Fprintln(w)
	table(w, conditions...)
	steps := [][]string{{"STEP", "STATE", "AT", "LAST ERROR"}}
	for _, s := range a.Provisioning {
		steps = append(steps, []string{string(s.Step), string(s.State), moment(s.At), deref(s.LastError)})
	}
	fmt.Fprintln(w)
	table(w, steps...)
}

// summary are the rows that tell one agent from another.
func summary(a api.Agent) [][]string {
	return [][]string{
		{"Name", a.Name},
		{"ID", a.ID},
		{"Team", a.Team},
		{"Type", a.AgentType},
		{"Environment", a.Environment},
		{"State", stateOf(a)},
	}
}

// stateOf says in a word what lifecycle, suspension and readiness come to.
func stateOf(a api.Agent) string {
	switch {
	case a.Lifecycle == api.AgentLifecycleDecommissioned:
		return "decommissioned"
	case a.Suspended:
		return "suspended"
	case slices.ContainsFunc(a.Conditions, func(c api.Condition) bool { return c.Type == api.ConditionTypeReady && c.Status == api.True }):
		return stateReady
	}
	return "not ready"
}

// stateReady is stateOf an agent that can work.
const stateReady = "ready"

// printRegistered writes what the developer of a new agent needs: who it is, how
// it logs in, the secret that is shown this once, and what to do next. With a
// secret file, that is named in place of the secret.
func printRegistered(w io.Writer, r api.RegisteredAgent, secretFile string) {
	fmt.Fprintf(w, "%s\n\n", headline(r))
	table(w, append(summary(r.Agent), []string{"Scopes", strings.Join(r.Agent.Scopes, ", ")}, []string{"Quota", quota(r.Agent.Quota)})...)
	if r.Credentials.ClientID != "" {
		printAccess(w, r, secretFile)
	} else {
		printWaiting(w, r.Agent)
	}
	fmt.Fprintf(w, "\nNext\n")
	for _, next := range r.Next {
		fmt.Fprintf(w, "  %s\n", plain(next))
	}
}

// headline says what became of the call.
func headline(r api.RegisteredAgent) string {
	name := plain(r.Agent.Name)
	switch {
	case r.Credentials.ClientID == "" && stateOf(r.Agent) == stateReady:
		return name + " was registered before; its secret is not shown again."
	case r.Credentials.ClientID == "":
		return "Recorded " + name + ". It is being finished in the background."
	case r.Agent.CredentialGeneration > 1:
		return fmt.Sprintf("New credentials for %s (generation %d). The ones before stop working.", name, r.Agent.CredentialGeneration)
	}
	return "Registered " + name + "."
}

func printAccess(w io.Writer, r api.RegisteredAgent, secretFile string) {
	fmt.Fprintf(w, "\nIdentity\n")
	table(w,
		[]string{"  Client ID", r.Credentials.ClientID},
		[]string{"  Token endpoint", r.Credentials.TokenEndpoint},
		[]string{"  Audience", r.Credentials.Audience},
	)
	switch secret := r.Credentials.ClientSecret; {
	case secret == nil && r.Agent.Authentication == api.PrivateKeyJwt:
		fmt.Fprintf(w, "\nNo secret exists: the agent signs its assertions with its own key (private_key_jwt).\n")
	case secret == nil:
		fmt.Fprintf(w, "\nThe client keeps the secret that it has.\n")
	case secretFile == "":
		fmt.Fprintf(w, "\nClient secret: shown once, stored nowhere. Keep it now.\n  %s\n", plain(*secret))
	default:
		fmt.Fprintf(w, "\nClient secret: only in %s, stored nowhere else.\n", plain(secretFile))
	}
	fmt.Fprintf(w, "\nVault\n")
	table(w,
		[]string{"  Address", r.Vault.Address},
		[]string{"  Log in at", r.Vault.AuthPath + " with role " + r.Vault.Role},
		[]string{"  Own secrets", r.Vault.SecretPaths.Own},
		[]string{"  Team's secrets", r.Vault.SecretPaths.Team},
		[]string{"  Common secrets", r.Vault.SecretPaths.Common},
	)
}

// printWaiting says what the agent waits for.
func printWaiting(w io.Writer, a api.Agent) {
	if text := deref(a.Convergence.LastError); text != "" {
		fmt.Fprintf(w, "\nLast attempt: %s\n", plain(text))
	}
	if next := a.Convergence.NextAttemptAt; next != nil {
		fmt.Fprintf(w, "Next attempt: %s\n", moment(*next))
	}
}

// withValue drops the rows that say nothing.
func withValue(rows [][]string) [][]string {
	return slices.DeleteFunc(rows, func(row []string) bool { return row[1] == "" })
}

func capabilities(given []api.Capability) string {
	names := make([]string, len(given))
	for i, c := range given {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

func labels(given map[string]string) string {
	pairs := make([]string, 0, len(given))
	for _, key := range slices.Sorted(maps.Keys(given)) {
		pairs = append(pairs, key+"="+given[key])
	}
	return strings.Join(pairs, ", ")
}

func configText(a api.Agent) string {
	if text := string(a.Config); text != "{}" && text != "null" {
		return text
	}
	return ""
}

func quota(q api.Quota) string {
	var parts []string
	if q.RequestsPerSecond != nil {
		parts = append(parts, strconv.FormatInt(*q.RequestsPerSecond, 10)+" per second")
	}
	if q.RequestsPerDay != nil {
		parts = append(parts, strconv.FormatInt(*q.RequestsPerDay, 10)+" per day")
	}
	return strings.Join(parts, ", ")
}

// moment is a time in full: a table may be kept, so it says nothing like "2m ago".
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func optionalMoment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return moment(*t)
}

// converged says how far the providers have followed; nothing when they have.
func converged(a api.Agent) string {
	if a.ObservedGeneration == a.Generation {
		return ""
	}
	text := fmt.Sprintf("not yet: change %d of %d", a.ObservedGeneration, a.Generation)
	if why := deref(a.Convergence.LastError); why != "" {
		text += fmt.Sprintf("; attempt %d: %s", a.Convergence.Attempts, why)
	}
	if next := a.Convergence.NextAttemptAt; next != nil {
		text += "; next " + moment(*next)
	}
	return text
}

// deref is what p points to, or the zero value.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
