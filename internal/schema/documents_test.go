package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

func TestEnvironmentIsDecodedWithDefaults(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		data string
		want registry.Environment
	}{
		{`{}`, registry.Environment{
			Name: "production", AllowedEndpoints: []string{}, Grants: "permissions", MaxStaleness: "15m", ReservedNames: []string{},
		}},
		{
			`{"allowed_endpoints":["*.skills.example.com:443","10.20.0.0/16"],"grants":"explicit","max_staleness":"0","reserved_names":["billing"]}`,
			registry.Environment{
				Name: "production", AllowedEndpoints: []string{"*.skills.example.com:443", "10.20.0.0/16"},
				Grants: "explicit", MaxStaleness: "0", ReservedNames: []string{"billing"},
			},
		},
	}
	for _, tt := range tests {
		got, err := v.Environment("production", []byte(tt.data))
		if err != nil {
			t.Errorf("Environment(%s): %v", tt.data, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Environment(%s) (-want +got):\n%s", tt.data, diff)
		}
	}
}

func TestEnvironmentReportsEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		name, data string
		want       []fault
	}{
		{"everything at once", `{"allowed_endpoints":["https://x:1",7],"grants":"all","max_staleness":"-1m","reserved_names":["A","a","a"],"x":1}`, []fault{
			{"/allowed_endpoints/0", "invalid_endpoint"}, {"/allowed_endpoints/1", "type"}, {"/grants", "enum"},
			{"/max_staleness", "invalid_duration"}, {"/reserved_names", "uniqueItems"}, {"/reserved_names/0", "pattern"}, {"/x", "unknown_field"},
		}},
		{"no object", `"production"`, []fault{{"", "type"}}},
		{"a list in the place of a text", `{"max_staleness":[]}`, []fault{{"/max_staleness", "type"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Environment("production", []byte(tt.data))
			wantFaults(t, err, "invalid_environment", tt.want...)
		})
	}
}

func TestMaxStalenessIsADuration(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for staleness, ok := range map[string]bool{
		"0": true, "0s": true, "90s": true, "1h30m": true, "1.5h": true,
		"-1s": false, "-0s": false, "+5m": false, "15": false, "15 m": false, "P1D": false, "1d": false, "never": false, "9999999h": false,
	} {
		_, err := v.Environment("production", edit(t, `{}`, map[string]any{"max_staleness": staleness}))
		if got := err == nil; got != ok {
			t.Errorf("max_staleness %q: accepted = %v, want %v", staleness, got, ok)
		}
	}
}

func TestAllowedEndpointsHaveOneShape(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	label := strings.Repeat("a", 63)
	for _, tt := range []struct {
		endpoint string
		ok       bool
	}{
		{"skills.example.com:443", true},
		{"*.skills.example.com:443", true},
		{"localhost:1", true},
		{"3scale.internal:65535", true},
		{"xn--bcher-kva.example:443", true},
		{label + ".example:443", true},
		{"127.0.0.1:8080", true},
		{"[::1]:8080", true},
		{"10.20.0.0/16", true},
		{"127.0.0.1/32", true},
		{"0.0.0.0/0", true},
		{"fd00::/8", true},

		{"skills.example.com", false},
		{"skills.example.com:", false},
		{"skills.example.com:0", false},
		{"skills.example.com:0443", false},
		{"skills.example.com:+443", false},
		{"skills.example.com:65536", false},
		{"skills.example.com:https", false},
		{"skills.example.com:*", false},
		{":443", false},
		{"*", false},
		{"*:443", false},
		{"*.:443", false},
		{"*.*.example.com:443", false},
		{"a.*.example.com:443", false},
		{"*a.example.com:443", false},
		{"https://skills.example.com:443", false},
		{"https://skills.example.com", false},
		{"skills.example.com:443/path", false},
		{"user@skills.example.com:443", false},
		{"user:pass@skills.example.com:443", false},
		{"Skills.example.com:443", false},
		{"bücher.example:443", false},
		{"skills.example.com.:443", false},
		{"skills..example.com:443", false},
		{".example.com:443", false},
		{"-a.example.com:443", false},
		{"a-.example.com:443", false},
		{"a_b.example.com:443", false},
		{"a b.example.com:443", false},
		{label + "a.example:443", false},
		{strings.Repeat("a.", 123) + "example:443", false},

		{"127.0.0.01:80", false},
		{"127.1:80", false},
		{"2130706433:80", false},
		{"0x7f000001:80", false},
		{"*.0.0.1:80", false},
		{"::1:80", false},
		{"[::1]", false},
		{"[0:0::1]:80", false},
		{"[::ffff:127.0.0.1]:80", false},
		{"[fe80::1%eth0]:80", false},
		{"10.20.0.1/16", false},
		{"10.20.0.0/33", false},
		{"10.20.0.0/016", false},
		{"10.20.0.0/", false},
		{"/16", false},
		{"10.20/16", false},
		{"10.20.0.0:443/16", false},
		{"::ffff:10.0.0.0/104", false},
		{"FD00::/8", false},
		{"fe80::%eth0/64", false},
	} {
		_, err := v.Environment("production", edit(t, `{}`, map[string]any{"allowed_endpoints": []string{tt.endpoint}}))
		if got := err == nil; got != tt.ok {
			t.Errorf("endpoint %q: accepted = %v, want %v", tt.endpoint, got, tt.ok)
		}
	}
}

func TestAgentTypeIsDecodedWhole(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		data string
		want registry.AgentType
	}{
		{`{}`, registry.AgentType{Name: "support", DefaultScopes: []string{}, AllowedScopes: []string{}, AllowedEnvironments: []string{}}},
		{
			`{"schema":{"type":"object"},"default_scopes":["data:read"],"allowed_scopes":["skills:invoke","data:read"],"allowed_environments":["production"],
			  "default_quota":{"requests_per_second":10,"requests_per_day":1e4},"max_quota":{"requests_per_second":10}}`,
			registry.AgentType{
				Name: "support", Schema: json.RawMessage(`{"type":"object"}`),
				DefaultScopes: []string{"data:read"}, AllowedScopes: []string{"skills:invoke", "data:read"}, AllowedEnvironments: []string{"production"},
				DefaultQuota: registry.Quota{RequestsPerSecond: ptr(int64(10)), RequestsPerDay: ptr(int64(10_000))},
				MaxQuota:     &registry.Quota{RequestsPerSecond: ptr(int64(10))},
			},
		},
	}
	for _, tt := range tests {
		got, err := v.AgentType("support", []byte(tt.data))
		if err != nil {
			t.Errorf("AgentType(%s): %v", tt.data, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("AgentType(%s) (-want +got):\n%s", tt.data, diff)
		}
	}
}

func TestAgentTypeReportsEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		name, data string
		want       []fault
	}{
		{"everything at once", `{"schema":{"$ref":"other.json","type":"objekt"},"default_scopes":["a:b","data:read"],"allowed_scopes":["data:read",""],
			"allowed_environments":["Production"],"default_quota":{"requests_per_second":11,"requests_per_day":1},
			"max_quota":{"requests_per_second":10,"requests_per_day":-1},"x":1}`, []fault{
			{"/allowed_environments/0", "pattern"}, {"/allowed_scopes/1", "pattern"}, {"/default_quota/requests_per_day", "quota_not_allowed"},
			{"/default_quota/requests_per_second", "quota_not_allowed"}, {"/default_scopes/0", "scope_not_allowed"},
			{"/max_quota/requests_per_day", "minimum"}, {"/schema/$ref", "ref_not_local"}, {"/schema/type", "anyOf"}, {"/x", "unknown_field"},
		}},
		{"defaults without anything allowed", `{"default_scopes":["data:read"]}`, []fault{{"/default_scopes/0", "scope_not_allowed"}}},
		{"a schema that is no object", `{"schema":true}`, []fault{{"/schema", "type"}}},
		{"wrong types", `{"default_scopes":[1],"allowed_scopes":{},"default_quota":{"requests_per_day":"1"},"max_quota":[]}`, []fault{
			{"/allowed_scopes", "type"}, {"/default_quota/requests_per_day", "type"}, {"/default_scopes/0", "type"}, {"/max_quota", "type"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.AgentType("support", []byte(tt.data))
			wantFaults(t, err, "invalid_agent_type", tt.want...)
		})
	}
}

func TestScopesHaveNoBlanks(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for scope, ok := range map[string]bool{
		"skills:invoke": true, "data:read:all": true, "tools.v2:x": true, "administer": true,
		"": false, "data:*": false, "a b": false, "a\tb": false, "A": false, ":a": false, "a:": false, "a::b": false, "1a": false, "*": false, "a:b\n": false, "a,b": false,
	} {
		_, err := v.AgentType("support", edit(t, `{}`, map[string]any{"allowed_scopes": []string{scope}}))
		if got := err == nil; got != ok {
			t.Errorf("scope %q: accepted = %v, want %v", scope, got, ok)
		}
	}
}

func TestTeamIsDecodedWithDefaults(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for data, want := range map[string]registry.Team{
		`{}`:                                registry.NewTeam("cs"),
		`{"max_agents":0,"blocked":true}`:   {Name: "cs", Blocked: true},
		`{"max_agents":1e9}`:                {Name: "cs", MaxAgents: 1_000_000_000},
		`{"max_agents":5,"blocked": false}`: {Name: "cs", MaxAgents: 5},
	} {
		got, err := v.Team("cs", []byte(data))
		if err != nil {
			t.Errorf("Team(%s): %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Team(%s) (-want +got):\n%s", data, diff)
		}
	}
	_, err := v.Team("cs", []byte(`{"max_agents":1000000001,"blocked":"no","Blocked":true}`))
	wantFaults(t, err, "invalid_team", fault{"/Blocked", "unknown_field"}, fault{"/blocked", "type"}, fault{"/max_agents", "maximum"})
}

func TestNewNeedsEverySchema(t *testing.T) {
	t.Parallel()
	if _, err := schema.New(fstest.MapFS{}); err == nil {
		t.Error("New without schemas = nil, want an error")
	}
	broken := fstest.MapFS{"agent-registration.schema.json": {Data: []byte(`{"$ref":"other.json"}`)}}
	if _, err := schema.New(broken); err == nil || !strings.Contains(err.Error(), "agent-registration") {
		t.Errorf("New with a schema that refers elsewhere = %v, want an error that names it", err)
	}
}
