package schema_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

// present is the agent that the patches change.
func present() registry.Agent {
	return registry.Agent{
		ID: "0197b8a0-0000-7000-8000-000000000001", Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Description: "Sorts <tickets>", Scopes: []string{"skills:invoke"},
		Capabilities: []registry.Capability{{Name: "triage", Input: json.RawMessage(`{"maximum":12345678901234567890}`)}},
		Labels:       map[string]string{"a": "1", "b": "2"}, Config: json.RawMessage(`{"max_tickets_per_hour":200,"x_a":"<b>"}`),
		Quota: registry.Quota{RequestsPerSecond: ptr(int64(10)), RequestsPerDay: ptr(int64(100))}, Lifecycle: registry.Active,
		ExpiresAt: world.Now.Add(-time.Hour), CredentialsExpireAt: world.Now.Add(time.Hour).Add(time.Microsecond),
		Authentication: registry.PrivateKeyJWT, Keys: json.RawMessage(publicKeys),
	}
}

// unchanged is what the registration of present says.
func unchanged() schema.Registration {
	a := present()
	return schema.Registration{
		Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment, Owner: a.Owner, Description: a.Description,
		Scopes: &a.Scopes, Capabilities: a.Capabilities, Labels: a.Labels, Config: a.Config, Quota: a.Quota,
		ExpiresAt: a.ExpiresAt, CredentialsExpireAt: a.CredentialsExpireAt, Authentication: a.Authentication, Keys: a.Keys,
	}
}

func TestAPatchChangesWhatItNames(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for patch, change := range map[string]func(*schema.Registration){
		`{}`:                           func(*schema.Registration) {},
		`{"owner": "ben@example.com"}`: func(r *schema.Registration) { r.Owner = "ben@example.com" },
		`{"description": null, "expires_at": null}`: func(r *schema.Registration) { r.Description, r.ExpiresAt = "", time.Time{} },
		`{"labels": {"b": null, "c": "3"}}`:         func(r *schema.Registration) { r.Labels = map[string]string{"a": "1", "c": "3"} },
		`{"labels": null}`:                          func(r *schema.Registration) { r.Labels = map[string]string{} },
		`{"scopes": null}`:                          func(r *schema.Registration) { r.Scopes = nil },
		`{"scopes": []}`:                            func(r *schema.Registration) { r.Scopes = &[]string{} },
		`{"config": {"max_tickets_per_hour": 2e2, "x_a": null}}`: func(r *schema.Registration) {
			r.Config = json.RawMessage(`{"max_tickets_per_hour":2e2}`)
		},
		`{"quota": {"requests_per_day": null}}`: func(r *schema.Registration) { r.Quota.RequestsPerDay = nil },
		`{"capabilities": [{"name": "x", "input": {"a": 1}}]}`: func(r *schema.Registration) {
			r.Capabilities = []registry.Capability{{Name: "x", Input: json.RawMessage(`{"a":1}`)}}
		},
		`{"expires_at": "2026-03-01T12:00:01Z"}`: func(r *schema.Registration) { r.ExpiresAt = world.Now.Add(time.Second) },
	} {
		want := unchanged()
		change(&want)
		got, err := v.Patch(present(), []byte(patch), world)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", patch, err, diff)
		}
	}
}

// A patch whose result no registration could be changes nothing.
func TestTheResultOfAPatchIsHeldToEverything(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for patch, want := range map[string][]fault{
		`{"owner": null}`: {{"/owner", "required"}},
		`{"config": {"max_tickets_per_hour": 0, "no": 1}}`: {{"/config/max_tickets_per_hour", "minimum"}, {"/config/no", "unknown_field"}},
		`{"config": null, "agent_type": "strict"}`:         {{"/config/limits", "required"}, {"/config/model", "required"}},
		`{"agent_type": "none"}`:                           {{"/agent_type", "unknown_agent_type"}},
		`{"expires_at": "2026-03-01T12:00:00Z"}`:           {{"/expires_at", "not_in_future"}},
		`{"credentials_expire_at": "x", "unknown": 1}`:     {{"/credentials_expire_at", "format"}, {"/unknown", "unknown_field"}},
		`{"labels": {"a": 1}, "quota": "much"}`:            {{"/labels/a", "type"}, {"/quota", "type"}},
		`[]`:                                               {{"", "type"}},
		`null`:                                             {{"", "type"}},
	} {
		t.Run(patch, func(t *testing.T) {
			t.Parallel()
			_, err := v.Patch(present(), []byte(patch), world)
			wantFaults(t, err, "invalid_registration", want...)
		})
	}
}

// Whatever an agent shows can either be patched or is refused as immutable, each
// by its place.
func TestWhatNoPatchChangesIsRefusedByItsPlace(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	patchable := []string{"agent_type", "owner", "description", "scopes", "capabilities", "labels", "config", "quota", "expires_at", "credentials_expire_at"}
	for field := range reflect.TypeFor[api.Agent]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		_, err := v.Patch(present(), []byte(`{"`+name+`": null}`), world)
		e, ok := registry.AsError(err)
		if refused := ok && e.Code == "immutable_field"; refused == slices.Contains(patchable, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := v.Patch(present(), []byte(`{"id": "x", "owner": "", "environment": "staging", "unknown": 1, "adopt": {}}`), world)
	wantFaults(t, err, "immutable_field",
		fault{"/adopt", "immutable_field"}, fault{"/environment", "immutable_field"}, fault{"/id", "immutable_field"})
}

func TestAPatchMustBeStrictJSON(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for patch, code := range map[string]string{`{"owner": "a", "owner": "b"}`: "duplicate_key", `{`: "invalid_json", ``: "invalid_json"} {
		_, err := v.Patch(present(), []byte(patch), world)
		if e, ok := registry.AsError(err); !ok || e.Code != code || !errors.Is(err, registry.Malformed) {
			t.Errorf("%s: %v, want %s", patch, err, code)
		}
	}
}
