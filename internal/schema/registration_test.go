package schema_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

const minimal = `{"name":"support-triage","team":"customer-success","agent_type":"support","environment":"production","owner":"ana@example.com"}`

// supportSchema is the schema of the agent type support.
const supportSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {
		"max_tickets_per_hour": {"type": "integer", "minimum": 1},
		"mode": {"enum": ["fast", "slow"]},
		"route": {"$ref": "#/$defs/route"},
		"tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "uniqueItems": true},
		"either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
		"a/b": {"type": "string"}
	},
	"patternProperties": {"^x_": {"type": "string"}},
	"dependentRequired": {"mode": ["max_tickets_per_hour"]},
	"additionalProperties": false,
	"$defs": {"route": {
		"type": "object",
		"required": ["to"],
		"allOf": [{"properties": {"to": {"type": "string"}}}],
		"properties": {"cc": {"type": "string"}},
		"unevaluatedProperties": false
	}}
}`

// types are the agent types of the tests.
func types(name string) (json.RawMessage, bool) {
	switch name {
	case "support":
		return json.RawMessage(supportSchema), true
	case "strict":
		return json.RawMessage(`{"required":["model","limits"]}`), true
	case "free":
		return nil, true
	case "broken":
		return json.RawMessage(`{"$ref":"file:///etc/passwd"}`), true
	default:
		return nil, false
	}
}

// publicKeys is a JWK Set as the registry keeps it; weakKeys has one key of 1024 bits.
var publicKeys, weakKeys = keysOf(256), keysOf(128)

func keysOf(bytes int) string {
	modulus := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", bytes)))
	raw := json.RawMessage(fmt.Sprintf(`{"keys":[{"kty":"RSA","n":%q,"e":"AQAB"}]}`, modulus))
	set, err := keyset.Parse(raw)
	if err != nil {
		return string(raw)
	}
	kept, _ := json.Marshal(set) // a set always can be written
	return string(kept)
}

// world is what the tests' registrations are judged by: it has every environment
// but one.
var world = schema.World{
	TypeSchema:        types,
	EnvironmentExists: func(name string) bool { return name != "nowhere" },
	Now:               time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
}

func TestRegistrationIsDecodedWhole(t *testing.T) {
	t.Parallel()
	data := `{
		"name": "support-triage", "team": "customer-success", "agent_type": "support", "environment": "production",
		"owner": "ana@example.com", "description": "Sorts\ntickets", "scopes": ["skills:invoke", "data:read"],
		"capabilities": [{"name": "triage", "description": "d", "input": {"type":"object"}, "output": true}, {"name": "x"}],
		"labels": {"cost-center": "cx-12"},
		"config": {"max_tickets_per_hour": 2e2, "x_a": "b", "a/b": ""},
		"quota": {"requests_per_second": 1e1, "requests_per_day": 10000.0},
		"expires_at": "2026-12-31T23:00:00+01:00", "credentials_expire_at": "2026-03-01T12:00:00.123456789Z",
		"authentication": "private_key_jwt", "jwks": ` + publicKeys + `, "adopt": {"client_id": "Qm4x"}
	}`
	got, err := newValidator(t).Registration([]byte(data), world)
	if err != nil {
		t.Fatal(err)
	}
	want := schema.Registration{
		Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Description: "Sorts\ntickets",
		Scopes: &[]string{"skills:invoke", "data:read"},
		Capabilities: []registry.Capability{
			{Name: "triage", Description: "d", Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`true`)},
			{Name: "x"},
		},
		Labels: map[string]string{"cost-center": "cx-12"},
		Config: json.RawMessage(`{"max_tickets_per_hour":2e2,"x_a":"b","a/b":""}`),
		Quota:  registry.Quota{RequestsPerSecond: ptr(int64(10)), RequestsPerDay: ptr(int64(10000))},

		ExpiresAt:           time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC),
		CredentialsExpireAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC),
		Authentication:      registry.PrivateKeyJWT,
		Keys:                json.RawMessage(publicKeys),
		AdoptClientID:       "Qm4x",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("registration (-want +got):\n%s", diff)
	}
}

func TestRegistrationSaysWhatWasNotSent(t *testing.T) {
	t.Parallel()
	got, err := newValidator(t).Registration([]byte(minimal), world)
	if err != nil {
		t.Fatal(err)
	}
	want := schema.Registration{
		Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Capabilities: []registry.Capability{}, Labels: map[string]string{}, Config: json.RawMessage(`{}`),
		Authentication: registry.ClientSecretPost,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("registration (-want +got):\n%s", diff)
	}
}

func TestRegistrationReportsEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		name string
		data string
		want []fault
	}{
		{"an empty object", `{}`, []fault{
			{"/agent_type", "required"}, {"/environment", "required"}, {"/name", "required"}, {"/owner", "required"}, {"/team", "required"},
		}},
		{"no object", `[]`, []fault{{"", "type"}}},
		{"null", `null`, []fault{{"", "type"}}},
		{"unknown fields at every level", `{"name":"a","team":"t","agent_type":"support","environment":"e","owner":"o",
			"Name":"b","a/b~":1,"capabilities":[{"name":"c","outptu":{}}],"quota":{"rps":1},
			"config":{"nope":1,"x_known":"","a/b":"","route":{"to":"x","bcc":"y"}}}`, []fault{
			{"/Name", "unknown_field"}, {"/a~1b~0", "unknown_field"}, {"/capabilities/0/outptu", "unknown_field"},
			{"/config/nope", "unknown_field"}, {"/config/route/bcc", "unknown_field"}, {"/quota/rps", "unknown_field"},
		}},
		{"wrong types", `{"name":1,"team":null,"agent_type":["support"],"environment":{},"owner":true,"description":0,
			"scopes":"a","capabilities":{},"labels":[],"config":[],"quota":"much"}`, []fault{
			{"/agent_type", "type"}, {"/capabilities", "type"}, {"/config", "type"}, {"/description", "type"}, {"/environment", "type"},
			{"/labels", "type"}, {"/name", "type"}, {"/owner", "type"}, {"/quota", "type"}, {"/scopes", "type"}, {"/team", "type"},
		}},
		{"values out of bounds", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"",
			"description":"` + strings.Repeat("é", 1025) + `","scopes":["a","b c","a"],
			"labels":{"UP":"x","ok":1},"quota":{"requests_per_second":-1,"requests_per_day":1000000001}}`, []fault{
			{"/description", "maxLength"}, {"/labels/UP", "pattern"}, {"/labels/ok", "type"}, {"/owner", "minLength"},
			{"/quota/requests_per_day", "maximum"}, {"/quota/requests_per_second", "minimum"}, {"/scopes", "uniqueItems"}, {"/scopes/1", "pattern"},
		}},
		{"expiries that are no times, or past", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o",
			"expires_at":"tomorrow","credentials_expire_at":"2026-03-01T12:00:00Z"}`, []fault{
			{"/credentials_expire_at", "not_in_future"}, {"/expires_at", "format"},
		}},
		{"an expiry beyond all years", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","expires_at":"9999-01-01T00:00:00Z"}`,
			[]fault{{"/expires_at", "format"}}},
		{"a null expiry", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","expires_at":null}`, []fault{{"/expires_at", "type"}}},
		{"no keys to sign with", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","authentication":"private_key_jwt"}`,
			[]fault{{"/jwks", "required"}}},
		{"keys beside a secret", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","jwks":` + publicKeys + `}`,
			[]fault{{"/jwks", "not_allowed"}}},
		{"a private key", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","authentication":"private_key_jwt",
			"jwks":{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}]}}`, []fault{{"/jwks/keys/0/d", "private_key"}}},
		{"a weak key", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","authentication":"private_key_jwt","jwks":` + weakKeys + `}`,
			[]fault{{"/jwks/keys/0/n", "weak_key"}}},
		{"an unknown curve", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","authentication":"private_key_jwt",
			"jwks":{"keys":[{"kty":"EC","crv":"P-257","x":"AQAB","y":"AQAB"}]}}`, []fault{{"/jwks/keys/0/crv", "unsupported_curve"}}},
		{"an unknown method, and a client that none can be", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o",
			"authentication":"none","adopt":{"client_id":"a b","secret":"x"}}`, []fault{
			{"/adopt/client_id", "pattern"}, {"/adopt/secret", "unknown_field"}, {"/authentication", "enum"},
		}},
		{"half a request", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","quota":{"requests_per_day":0.5}}`,
			[]fault{{"/quota/requests_per_day", "type"}}},
		{"an agent type that is not there", `{"name":"a","team":"t","agent_type":"none","environment":"e","owner":"o","config":{"a":1},"x":1}`,
			[]fault{{"/agent_type", "unknown_agent_type"}, {"/x", "unknown_field"}}},
		{"an environment that is not there either, and all the rest", `{"name":"A","team":"t","agent_type":"none","environment":"nowhere","owner":"","x":1}`,
			[]fault{{"/agent_type", "unknown_agent_type"}, {"/environment", "unknown_environment"}, {"/name", "pattern"}, {"/owner", "minLength"}, {"/x", "unknown_field"}}},
		{"a config against its type, and the document", `{"name":"A","team":"t","agent_type":"support","environment":"e","owner":"o",
			"config":{"mode":"medium","route":{"cc":1},"tags":["ok","NO","ok"],"either":[],"x_a":1,"a/b":2}}`, []fault{
			{"/config/a~1b", "type"}, {"/config/either", "anyOf"}, {"/config/max_tickets_per_hour", "dependentRequired"},
			{"/config/mode", "enum"}, {"/config/route/cc", "type"}, {"/config/route/to", "required"}, {"/config/tags", "uniqueItems"},
			{"/config/tags/1", "pattern"}, {"/config/x_a", "type"}, {"/name", "pattern"},
		}},
		{"a config that was not sent, of a type that needs one", `{"name":"a","team":"t","agent_type":"strict","environment":"e","owner":"o"}`,
			[]fault{{"/config/limits", "required"}, {"/config/model", "required"}}},
		{"a null config", `{"name":"a","team":"t","agent_type":"support","environment":"e","owner":"o","config":null}`,
			[]fault{{"/config", "type"}}},
		{"capabilities", `{"name":"a","team":"t","agent_type":"free","environment":"e","owner":"o","capabilities":[
			{"name":"x","input":null,"output":"s"},{"name":"x","input":3},{"description":"d"},4,
			{"name":"big","input":{"a":"` + strings.Repeat("x", 16<<10) + `"}},
			{"name":"deep","input":{"a":"[[]]\"[","b":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}}]}`, []fault{
			{"/capabilities/0/input", "type"}, {"/capabilities/0/output", "type"}, {"/capabilities/1/input", "type"},
			{"/capabilities/1/name", "duplicate"}, {"/capabilities/2/name", "required"}, {"/capabilities/3", "type"},
			{"/capabilities/4/input", "too_large"}, {"/capabilities/5/input", "too_deep"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Registration([]byte(tt.data), world)
			wantFaults(t, err, "invalid_registration", tt.want...)
		})
	}
}

func TestDetailsSayWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	data := edit(t, minimal, map[string]any{
		"name": "Ö", "extra": 1, "description": strings.Repeat("x", 1025), "labels": map[string]any{"UP": "x"},
		"config": map[string]any{"mode": "medium", "max_tickets_per_hour": 0},
	})
	_, err := newValidator(t).Registration(data, world)
	e, ok := registry.AsError(err)
	if !ok {
		t.Fatal(err)
	}
	want := []registry.FieldError{
		{Pointer: "/config/max_tickets_per_hour", Code: "minimum", Detail: "must be at least 1"},
		{Pointer: "/config/mode", Code: "enum", Detail: `must be one of "fast", "slow"`},
		{Pointer: "/description", Code: "maxLength", Detail: "must have at most 1024 characters"},
		{Pointer: "/extra", Code: "unknown_field", Detail: "is not a field of this object"},
		{Pointer: "/labels/UP", Code: "pattern", Detail: "the name must match ^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$"},
		{Pointer: "/name", Code: "pattern", Detail: "must match ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
	}
	if diff := cmp.Diff(want, e.Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	fields := map[string]any{strings.Repeat("k", 100_000): 1}
	for i := range 5000 {
		fields[fmt.Sprintf("field-%04d", i)] = i
	}
	_, err := newValidator(t).Registration(edit(t, minimal, fields), world)
	got := faultsOf(t, err, "invalid_registration")
	if len(got) != 100 {
		t.Errorf("reported %d faults, want 100", len(got))
	}
	if first := (fault{"", "unknown_field"}); got[0] != first {
		t.Errorf("first fault = %v, want %v: the long name must not come back", got[0], first)
	}
}

func TestDocumentsThatWouldCostTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	scopes := make([]int, 250_000)
	_, err := newValidator(t).Registration(edit(t, minimal, map[string]any{"scopes": scopes}), world)
	wantFaults(t, err, "invalid_registration", fault{"", "too_complex"})
}

func TestRegistrationRefusesWhatIsNotStrictJSON(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for code, data := range map[string]string{
		"invalid_json":        `{"name"`,
		"duplicate_key":       `{"name":"a","n\u0061me":"b"}`,
		"trailing_data":       minimal + `{}`,
		"number_out_of_range": `{"quota":{"requests_per_day":1e9999999}}`,
		"invalid_string":      `{"name":"a\u0000"}`,
	} {
		_, err := v.Registration([]byte(data), world)
		if e, ok := registry.AsError(err); !ok || e.Code != code {
			t.Errorf("Registration(%s) = %v, want %s", data, err, code)
		}
	}
}

// A type's schema that is not usable is the registry's fault, not the caller's.
func TestAnUnusableTypeIsNotTheCallersFault(t *testing.T) {
	t.Parallel()
	_, err := newValidator(t).Registration(edit(t, minimal, map[string]any{"agent_type": "broken"}), world)
	if err == nil {
		t.Fatal("Registration = nil, want an error")
	}
	if e, ok := registry.AsError(err); ok {
		t.Errorf("Registration = %+v, want an error without a kind", e)
	}
}

// TestInvariant_A3_NamesAreSafeAndNoUUIDs: names reach Vault templates, Rego
// package paths and URL paths.
func TestInvariant_A3_NamesAreSafeAndNoUUIDs(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	bad := map[string]string{
		"empty": "", "slash": "a/b", "plus": "a+b", "dots": "a..b", "parent": "..", "template": "{{identity}}", "star": "*",
		"star inside": "a*", "underscore": "a_b", "upper case": "Support", "64 characters": strings.Repeat("a", 64),
		"a hyphen first": "-a", "a hyphen last": "a-", "blank": "a b", "newline last": "a\n", "percent": "a%2fb", "colon": "a:b", "at": "a@b",
		"look-alike": "suppоrt", "full width": "ａ", "soft hyphen": "a\u00adb", "combining": "a\u0301", "dotless": "ı",
		"uuid": "0197f3c2-9d0a-7c31-8a53-5b6d3f0e1a2b", "uuid in capitals": "0197F3C2-9D0A-7C31-8A53-5B6D3F0E1A2B",
		"nil uuid": "00000000-0000-0000-0000-000000000000",
	}
	for what, name := range bad {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, field := range []string{"name", "team", "agent_type", "environment"} {
				_, err := v.Registration(edit(t, minimal, map[string]any{field: name}), world)
				got := faultsOf(t, err, "invalid_registration")
				if len(got) != 1 || got[0].Pointer != "/"+field {
					t.Errorf("%s %q: faults = %v, want one at /%s", field, name, got, field)
				}
			}
			_, err := v.Environment(name, []byte(`{}`))
			wantFaults(t, err, "invalid_environment", fault{"", "invalid_name"})
			_, err = v.AgentType(name, []byte(`{}`))
			wantFaults(t, err, "invalid_agent_type", fault{"", "invalid_name"})
			_, err = v.Team(name, []byte(`{}`))
			wantFaults(t, err, "invalid_team", fault{"", "invalid_name"})
			_, err = v.Environment("ok", edit(t, `{}`, map[string]any{"reserved_names": []string{name}}))
			if got := faultsOf(t, err, "invalid_environment"); len(got) != 1 || got[0].Pointer != "/reserved_names/0" {
				t.Errorf("reserved name %q: faults = %v", name, got)
			}
		})
	}
	// U+0000 does not even get past the JSON reader.
	_, err := v.Registration(edit(t, minimal, map[string]any{"name": "a\x00"}), world)
	if e, ok := registry.AsError(err); !ok || e.Code != "invalid_string" {
		t.Errorf("NUL: %v, want invalid_string", err)
	}
	for _, name := range []string{"a", "0", "a-b", "a--b", strings.Repeat("a", 63), "0197f3c2-9d0a-7c31-8a53-5b6d3f0e1a2"} {
		if _, err := v.Registration(edit(t, minimal, map[string]any{"name": name}), world); err != nil {
			t.Errorf("name %q: %v, want nil", name, err)
		}
	}
}

// TestInvariant_C7_LabelsAndConfigAreBounded: one developer cannot exhaust the
// tenant.
func TestInvariant_C7_LabelsAndConfigAreBounded(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	labels := map[string]string{}
	for i := range 16 {
		labels[fmt.Sprint("label-", i)] = "x"
	}
	config := func(size int) map[string]any {
		return map[string]any{"a": strings.Repeat("x", size-len(`{"a":""}`))}
	}
	within := map[string]any{"agent_type": "free", "labels": labels, "config": config(schema.MaxConfigBytes)}
	if _, err := v.Registration(edit(t, minimal, within), world); err != nil {
		t.Errorf("16 labels and 16 KiB of config: %v, want nil", err)
	}
	labels["label-16"] = "x"
	beyond := map[string]any{"agent_type": "free", "labels": labels, "config": config(schema.MaxConfigBytes + 1)}
	_, err := v.Registration(edit(t, minimal, beyond), world)
	wantFaults(t, err, "invalid_registration", fault{"/config", "too_large"}, fault{"/labels", "maxProperties"})
}
