package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

const (
	never    = "never changes"
	byItself = "is what the registry itself says"
)

// immutable are the fields of an agent that no patch changes, and why.
var immutable = map[string]string{
	"id": never, "name": never, "environment": never, "adopt": never,
	"team":           "changes with POST /agents/{name}/transfer",
	"suspended":      "changes with POST /agents/{name}/suspend and /resume",
	"suspend_reason": "changes with POST /agents/{name}/suspend and /resume",
	"authentication": "changes with POST /agents/{name}/credentials",
	"jwks":           "changes with POST /agents/{name}/credentials",
	"lifecycle":      "changes with DELETE /agents/{name}",

	"tokens_valid_after": byItself, "revision": byItself, "generation": byItself, "observed_generation": byItself,
	"credential_generation": byItself, "convergence": byItself, "conditions": byItself, "provisioning": byItself,
	"identity": byItself, "secrets": byItself, "created_at": byItself, "updated_at": byItself, "created_by": byItself,
	"decommissioned_at": byItself,
}

// Patch applies a JSON Merge Patch (RFC 7396) to the registration that the agent
// now has, and checks and decodes the result as a whole. Only expiries that the
// patch sets must lie ahead: an agent that has expired can be changed.
//
// It returns Invalid: with the code immutable_field and every field that no patch
// changes, or else with what is wrong with the result, as Registration does.
func (v *Validator) Patch(a registry.Agent, patch []byte, w World) (Registration, error) {
	if err := strictjson.Check(patch); err != nil {
		return Registration{}, err
	}
	change, err := decode(patch)
	if err != nil {
		return Registration{}, fmt.Errorf("decode the patch: %w", err)
	}
	fields, _ := change.(map[string]any)
	if err := mutable(fields); err != nil {
		return Registration{}, err
	}
	present, err := documentOf(a)
	if err != nil {
		return Registration{}, err
	}
	var result bytes.Buffer
	enc := json.NewEncoder(&result)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(mergePatch(present, change)); err != nil {
		return Registration{}, fmt.Errorf("encode the patched registration: %w", err)
	}
	ahead := slices.DeleteFunc(slices.Clone(expiries), func(field string) bool { return fields[field] == nil })
	return v.registration(result.Bytes(), w, ahead)
}

func mutable(patch map[string]any) error {
	var f faults
	for _, field := range slices.Sorted(maps.Keys(patch)) {
		if why, ok := immutable[field]; ok {
			f.add("/"+escapeToken(field), "immutable_field", "%s", why)
		}
	}
	if len(f) == 0 {
		return nil
	}
	return registry.Invalid.Errorf("immutable_field", "a patch cannot change this: see errors for each place and what does").With(f...)
}

// mergePatch is MergePatch of RFC 7396, section 2. It changes target.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergePatch(object[name], value)
		}
	}
	return object
}

// documentOf is the registration that an agent has now.
func documentOf(a registry.Agent) (any, error) {
	capabilities := make([]map[string]any, len(a.Capabilities))
	for i, c := range a.Capabilities {
		capabilities[i] = without(map[string]any{"name": c.Name, "description": c.Description, "input": c.Input, "output": c.Output})
	}
	quota := map[string]any{}
	if n := a.Quota.RequestsPerSecond; n != nil {
		quota["requests_per_second"] = *n
	}
	if n := a.Quota.RequestsPerDay; n != nil {
		quota["requests_per_day"] = *n
	}
	text, err := json.Marshal(without(map[string]any{
		"name": a.Name, "team": a.Team, "agent_type": a.AgentType, "environment": a.Environment, "owner": a.Owner,
		"description": a.Description, "scopes": orEmpty(a.Scopes), "capabilities": capabilities, "labels": orEmptyMap(a.Labels),
		"config": orObject(a.Config), "quota": quota, "authentication": string(a.Authentication), "jwks": a.Keys,
		"expires_at": timeText(a.ExpiresAt), "credentials_expire_at": timeText(a.CredentialsExpireAt),
	}))
	if err != nil {
		return nil, fmt.Errorf("encode the registration of agent %s: %w", a.ID, err)
	}
	return decode(text)
}

// without leaves out the fields that say nothing.
func without(fields map[string]any) map[string]any {
	maps.DeleteFunc(fields, func(_ string, value any) bool {
		raw, isRaw := value.(json.RawMessage)
		return value == "" || (isRaw && raw == nil)
	})
	return fields
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func orEmptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
