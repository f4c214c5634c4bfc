package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

var (
	teamLayer  = registry.LayerKey{Tier: registry.TierTeam, ID: "customer-success"}
	typeLayer  = registry.LayerKey{Tier: registry.TierAgentType, ID: "support"}
	wideLayer  = registry.LayerKey{Tier: registry.TierGlobal, ID: "office-hours"}
	agentLayer = registry.LayerKey{Tier: registry.TierAgent, ID: "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"}
)

func TestPolicyIsDecodedWhole(t *testing.T) {
	t.Parallel()
	data := `{
		"rules": [
			{"code": "no_restricted_writes", "effect": "deny", "message": "Restricted data is read-only",
			 "when": {"resources": ["billing-system"], "resource_types": ["data_sink"], "methods": ["POST", "PUT"], "environments": ["production"],
			          "data_classification": ["restricted"], "permissions": ["data:write"], "agent_types": ["support"],
			          "outside_hours": {"from": "09:00", "to": "17:00", "days": ["mon", "fri"], "timezone": "Europe/Berlin"}}},
			{"code": "use_hello", "effect": "allow", "when": {"outside_hours": {"from": "22:00", "to": "24:00"}}},
			{"code": "use_hello", "effect": "deny"}],
		"rego": "package p", "tests": "package p_test", "required": true,
		"ceiling": {"permissions": ["skills:invoke"], "data_classification": []}
	}`
	got, err := newValidator(t).Policy(teamLayer, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Policy{
		LayerKey: teamLayer,
		Rules: []registry.Rule{
			{Code: "no_restricted_writes", Effect: registry.Deny, Message: "Restricted data is read-only", When: registry.Conditions{
				Resources: []string{"billing-system"}, ResourceTypes: []registry.ResourceType{registry.DataSink}, Methods: []string{"POST", "PUT"},
				Environments: []string{"production"}, DataClassification: []string{"restricted"}, Permissions: []string{"data:write"},
				AgentTypes:   []string{"support"},
				OutsideHours: &registry.Hours{From: "09:00", To: "17:00", Days: []string{"mon", "fri"}, Timezone: "Europe/Berlin"},
			}},
			{Code: "use_hello", Effect: registry.Allow, When: registry.Conditions{OutsideHours: &registry.Hours{From: "22:00", To: "24:00"}}},
			{Code: "use_hello", Effect: registry.Deny},
		},
		Rego: "package p", Tests: "package p_test", Required: true,
		Ceiling: &registry.Ceiling{Permissions: []string{"skills:invoke"}, DataClassification: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

// A ceiling that is there and bounds nothing is not one that grants nothing.
func TestAPolicyMaySayNothing(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for _, key := range []registry.LayerKey{teamLayer, typeLayer, wideLayer, agentLayer} {
		for data, ceiling := range map[string]*registry.Ceiling{
			`{}`: nil,
			`{"rules": [], "rego": "", "tests": "", "required": false}`: nil,
			`{"ceiling": {}}`: {},
		} {
			if ceiling != nil && key != teamLayer && key != typeLayer {
				continue
			}
			got, err := v.Policy(key, []byte(data))
			if diff := cmp.Diff(registry.Policy{LayerKey: key, Rules: []registry.Rule{}, Ceiling: ceiling}, got); err != nil || diff != "" {
				t.Errorf("Policy(%v, %s): %v (-want +got):\n%s", key, data, err, diff)
			}
		}
	}
}

func TestPolicyReportsEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	rule := func(when string) string { return `{"rules": [{"code": "a", "effect": "deny", "when": ` + when + `}]}` }
	for _, tt := range []struct {
		name string
		key  registry.LayerKey
		data string
		want []fault
	}{
		{"no object", teamLayer, `[]`, []fault{{"", "type"}}},
		{"null", teamLayer, `null`, []fault{{"", "type"}}},
		{"nulls", teamLayer, `{"rules": null, "rego": null, "tests": null, "required": null, "ceiling": null}`, []fault{
			{"/ceiling", "type"}, {"/rego", "type"}, {"/required", "type"}, {"/rules", "type"}, {"/tests", "type"},
		}},
		{"fields of nobody's", teamLayer, `{"tier": "team", "id": "x", "version": 1, "rules": [{"code": "a", "effect": "deny", "priority": 1, "when": {"headers": ["x"]}}]}`, []fault{
			{"/id", "unknown_field"}, {"/rules/0/priority", "unknown_field"}, {"/rules/0/when/headers", "unknown_field"}, {"/tier", "unknown_field"}, {"/version", "unknown_field"},
		}},
		{"a team that is none", registry.LayerKey{Tier: registry.TierTeam, ID: "Platform"}, `{}`, []fault{{"", "invalid_id"}}},
		{"a UUID as a team", registry.LayerKey{Tier: registry.TierTeam, ID: agentLayer.ID}, `{}`, []fault{{"", "invalid_id"}}},
		{"an agent's name", registry.LayerKey{Tier: registry.TierAgent, ID: "support-triage"}, `{}`, []fault{{"", "invalid_id"}}},
		{"the platform's tier", registry.LayerKey{Tier: registry.TierPlatform, ID: "a"}, `{}`, []fault{{"", "invalid_id"}}},
		{"a tier that is none", registry.LayerKey{Tier: "org", ID: "a"}, `{"x": 1}`, []fault{{"", "invalid_id"}, {"/x", "unknown_field"}}},
		{"rules without their fields", teamLayer, `{"rules": [{}, 7, {"code": "", "effect": ""}, {"code": "a", "effect": "deny", "when": []}]}`, []fault{
			{"/rules/0/code", "required"}, {"/rules/0/effect", "required"}, {"/rules/1", "type"}, {"/rules/2/code", "pattern"}, {"/rules/2/effect", "enum"}, {"/rules/3/when", "type"},
		}},
		{"codes", teamLayer, `{"rules": [{"code": "Deny", "effect": "deny"}, {"code": "a-b", "effect": "deny"}, {"code": "` + strings.Repeat("a", 65) + `", "effect": "warn"},
			{"code": "a\n", "effect": "deny"}, {"code": "above_ceiling", "effect": "deny"}, {"code": "invalid_code", "effect": "allow"}]}`, []fault{
			{"/rules/0/code", "pattern"}, {"/rules/1/code", "pattern"}, {"/rules/2/code", "pattern"}, {"/rules/2/effect", "enum"},
			{"/rules/3/code", "pattern"}, {"/rules/4/code", "reserved_code"}, {"/rules/5/code", "reserved_code"},
		}},
		{"the same code thrice", teamLayer, `{"rules": [{"code": "a", "effect": "deny"}, {"code": "a", "effect": "allow"}, {"code": "a", "effect": "deny"}, {"code": "a", "effect": "deny"}]}`, []fault{
			{"/rules/2/code", "duplicate"}, {"/rules/3/code", "duplicate"},
		}},
		{"a long message", teamLayer, `{"rules": [{"code": "a", "effect": "deny", "message": "` + strings.Repeat("x", 501) + `"}]}`, []fault{{"/rules/0/message", "maxLength"}}},
		{"lists of nothing", teamLayer, rule(`{"resources": [], "resource_types": [], "methods": [], "environments": [], "data_classification": [], "permissions": [], "agent_types": []}`), []fault{
			{"/rules/0/when/agent_types", "minItems"}, {"/rules/0/when/data_classification", "minItems"}, {"/rules/0/when/environments", "minItems"}, {"/rules/0/when/methods", "minItems"},
			{"/rules/0/when/permissions", "minItems"}, {"/rules/0/when/resource_types", "minItems"}, {"/rules/0/when/resources", "minItems"},
		}},
		{"values that can never be", teamLayer, rule(`{"resources": ["A"], "resource_types": ["api"], "methods": ["get", "TRACE", ""], "environments": [""], "data_classification": ["secret"], "permissions": [""], "agent_types": ["*"]}`), []fault{
			{"/rules/0/when/agent_types/0", "pattern"}, {"/rules/0/when/data_classification/0", "enum"}, {"/rules/0/when/environments/0", "pattern"},
			{"/rules/0/when/methods/0", "enum"}, {"/rules/0/when/methods/1", "enum"}, {"/rules/0/when/methods/2", "enum"}, {"/rules/0/when/permissions/0", "minLength"},
			{"/rules/0/when/resource_types/0", "enum"}, {"/rules/0/when/resources/0", "pattern"},
		}},
		{"values twice", teamLayer, rule(`{"resources": ["a", "a"], "methods": ["GET", "GET"], "outside_hours": {"from": "09:00", "to": "17:00", "days": ["mon", "mon"]}}`), []fault{
			{"/rules/0/when/methods", "uniqueItems"}, {"/rules/0/when/outside_hours/days", "uniqueItems"}, {"/rules/0/when/resources", "uniqueItems"},
		}},
		{"hours without their ends", teamLayer, rule(`{"outside_hours": {}}`), []fault{{"/rules/0/when/outside_hours/from", "required"}, {"/rules/0/when/outside_hours/to", "required"}}},
		{"hours that cannot be", teamLayer, rule(`{"outside_hours": {"from": "24:00", "to": "9:00", "days": ["Monday"], "timezone": "", "until": 1}}`), []fault{
			{"/rules/0/when/outside_hours/days/0", "enum"}, {"/rules/0/when/outside_hours/from", "pattern"}, {"/rules/0/when/outside_hours/timezone", "minLength"},
			{"/rules/0/when/outside_hours/to", "pattern"}, {"/rules/0/when/outside_hours/until", "unknown_field"},
		}},
		{"hours of no time, on no day", teamLayer, rule(`{"outside_hours": {"from": "09:00", "to": "09:00", "days": []}}`), []fault{
			{"/rules/0/when/outside_hours/days", "minItems"}, {"/rules/0/when/outside_hours/to", "no_hours"},
		}},
		{"a ceiling over everybody", wideLayer, `{"ceiling": {}}`, []fault{{"/ceiling", "tier_without_ceiling"}}},
		{"a ceiling over one agent", agentLayer, `{"ceiling": {"permissions": []}}`, []fault{{"/ceiling", "tier_without_ceiling"}}},
		{"a ceiling that cannot be", teamLayer, `{"ceiling": {"permissions": ["a", "a", ""], "data_classification": ["secret"], "methods": []}}`, []fault{
			{"/ceiling/data_classification/0", "enum"}, {"/ceiling/methods", "unknown_field"}, {"/ceiling/permissions", "uniqueItems"}, {"/ceiling/permissions/2", "minLength"},
		}},
		{"tests of nothing", teamLayer, `{"tests": "package a_test"}`, []fault{{"/tests", "nothing_to_test"}}},
		{"tests of empty Rego", teamLayer, `{"tests": "package a_test", "rego": ""}`, []fault{{"/tests", "nothing_to_test"}}},
		{"Rego that is none", teamLayer, `{"tests": 1, "rego": ["package a"], "required": "yes"}`, []fault{{"/rego", "type"}, {"/required", "type"}, {"/tests", "type"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Policy(tt.key, []byte(tt.data))
			wantFaults(t, err, "invalid_policy", tt.want...)
		})
	}
}

// policyOf is a document of many rules with many values.
func policyOf(t testing.TB, rules, values, digits, regoBytes int, filler string) []byte {
	t.Helper()
	list := make([]string, values)
	for i := range list {
		list[i] = fmt.Sprintf("r-%0*d", digits, i)
	}
	all := make([]map[string]any, rules)
	for i := range all {
		all[i] = map[string]any{"code": fmt.Sprintf("r_%d", i), "effect": "deny", "when": map[string]any{"resources": list, "permissions": list}}
	}
	text := strings.Repeat(filler, regoBytes/len(filler))
	doc, err := json.Marshal(map[string]any{"rules": all, "rego": text, "tests": text, "ceiling": map[string]any{"permissions": list}})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Bounds are of bytes where the text is Rego: that of two bytes a character must
// not be twice as large.
func TestPolicyIsBounded(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for _, tt := range []struct {
		name string
		data []byte
		want []fault
	}{
		{"as much as there may be", policyOf(t, 100, 64, 3, schema.MaxRegoBytes, "x"), nil},
		{"too many rules", policyOf(t, 101, 1, 1, 2, "x"), []fault{{"/rules", "maxItems"}}},
		{"too many values", policyOf(t, 1, 65, 2, 2, "x"), []fault{
			{"/ceiling/permissions", "maxItems"}, {"/rules/0/when/permissions", "maxItems"}, {"/rules/0/when/resources", "maxItems"},
		}},
		{"too long values", policyOf(t, 100, 64, 50, 2, "x"), []fault{{"/rules", "too_large"}}},
		{"too much Rego", policyOf(t, 1, 1, 1, schema.MaxRegoBytes+2, "é"), []fault{{"/rego", "too_large"}, {"/tests", "too_large"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Policy(teamLayer, tt.data)
			wantFaults(t, err, "invalid_policy", tt.want...)
		})
	}
}

func TestAZoneIsOneOfTheIANADatabase(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for zone, ok := range map[string]bool{
		"UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true, "America/Port-au-Prince": true, "Etc/GMT+12": true, "EST5EDT": true, "GMT-0": true,
		"Local": false, "local": false, "localtime": false, "utc": false, "europe/berlin": false, "Europe/Atlantis": false, "Europe": false, "Europe/": false,
		"/Europe/Berlin": false, "../Europe/Berlin": false, "Europe/../Europe/Berlin": false, "posix/Europe/Berlin": false, "right/Europe/Berlin": false,
		"CEST": false, "+01:00": false, "Europe/Berlin\n": false, " ": false, "zone.tab": false,
	} {
		_, err := v.Policy(teamLayer, edit(t, `{}`, map[string]any{"rules": []any{map[string]any{
			"code": "a", "effect": "deny", "when": map[string]any{"outside_hours": map[string]any{"from": "09:00", "to": "17:00", "timezone": zone}},
		}}}))
		want := []fault{{"/rules/0/when/outside_hours/timezone", "unknown_timezone"}}
		if ok {
			want = nil
		}
		wantFaults(t, err, "invalid_policy", want...)
	}
}

func TestHoursAreTimesOfADay(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for hours, ok := range map[[2]string]bool{
		{"00:00", "24:00"}: true, {"00:00", "00:01"}: true, {"23:59", "00:00"}: true, {"22:00", "06:00"}: true, {"23:59", "24:00"}: true,
		{"00:00", "00:00"}: false, {"12:00", "12:00"}: false, {"24:00", "06:00"}: false, {"09:00", "24:01"}: false, {"09:00", "25:00"}: false,
		{"09:60", "17:00"}: false, {"9:00", "17:00"}: false, {"09:00:00", "17:00"}: false, {"09.00", "17:00"}: false, {"", "17:00"}: false, {"09:00\n", "17:00"}: false,
	} {
		_, err := v.Policy(teamLayer, edit(t, `{}`, map[string]any{"rules": []any{map[string]any{
			"code": "a", "effect": "deny", "when": map[string]any{"outside_hours": map[string]any{"from": hours[0], "to": hours[1]}},
		}}}))
		if got := err == nil; got != ok {
			t.Errorf("hours %q: accepted = %t (%v), want %t", hours, got, err, ok)
		}
	}
}

func TestARollbackNamesAVersion(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for data, want := range map[string]int64{`{"version": 1}`: 1, `{"version": 3.0}`: 3, `{"version": 1000000000}`: 1e9} {
		if got, err := v.PolicyRollback([]byte(data)); err != nil || got != want {
			t.Errorf("PolicyRollback(%s) = %d, %v, want %d", data, got, err, want)
		}
	}
	for data, want := range map[string]fault{
		`{}`: {"/version", "required"}, `[]`: {"", "type"}, `{"version": 0}`: {"/version", "minimum"}, `{"version": 1e10}`: {"/version", "maximum"},
		`{"version": 1.5}`: {"/version", "type"}, `{"version": "1"}`: {"/version", "type"}, `{"version": 1, "force": true}`: {"/force", "unknown_field"},
	} {
		_, err := v.PolicyRollback([]byte(data))
		wantFaults(t, err, "invalid_rollback", want)
	}
}
