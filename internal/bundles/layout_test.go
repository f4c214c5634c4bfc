package bundles_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
)

// showsAs fails unless the record is written as want, to the letter.
func showsAs(t *testing.T, name, want string, record any) {
	t.Helper()
	got, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

var second = time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))

func TestMomentsOfAgentsAreNanosecondsAndScopesASet(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		agent registry.AgentFacts
		want  string
	}{
		"neither":              {registry.AgentFacts{}, `"scopes":[],"expires_at":null,"valid_after":null`},
		"expires":              {registry.AgentFacts{ExpiresAt: second}, `"scopes":[],"expires_at":1770087906000000000,"valid_after":null`},
		"expires in UTC":       {registry.AgentFacts{ExpiresAt: second.UTC()}, `"scopes":[],"expires_at":1770087906000000000,"valid_after":null`},
		"tokens revoked":       {registry.AgentFacts{ValidAfter: second.Add(123456 * time.Microsecond)}, `"scopes":[],"expires_at":null,"valid_after":1770087906123456000`},
		"in 1970":              {registry.AgentFacts{ExpiresAt: time.Unix(0, 0), ValidAfter: time.Unix(0, 1)}, `"scopes":[],"expires_at":0,"valid_after":1`},
		"before 1970":          {registry.AgentFacts{ExpiresAt: time.Unix(-1, 0)}, `"scopes":[],"expires_at":-1000000000,"valid_after":null`},
		"beyond all clocks":    {registry.AgentFacts{ExpiresAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}, `"scopes":[],"expires_at":9223372036854775807,"valid_after":null`},
		"at the end of clocks": {registry.AgentFacts{ExpiresAt: time.Unix(0, math.MaxInt64)}, `"scopes":[],"expires_at":9223372036854775807,"valid_after":null`},
		"before all clocks":    {registry.AgentFacts{ExpiresAt: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)}, `"scopes":[],"expires_at":-9223372036854775808,"valid_after":null`},
		"scopes are a set":     {registry.AgentFacts{Scopes: []string{"b", "a", "c", "a"}}, `"scopes":["a","b","c"],"expires_at":null,"valid_after":null`},
	} {
		showsAs(t, name, `{"id":"","name":"","team":"","agent_type":"","suspended":false,`+row.want+`,"labels":{}}`, bundles.Agent(row.agent))
	}
}

func TestStampsSayWhenTheDataWasCurrent(t *testing.T) {
	t.Parallel()
	whole, part := bundles.Tag{Scope: "production", Epoch: "e1", Revision: 42, Hash: "12345678"}, bundles.Tag{Scope: "production", Part: "agents-0", Epoch: "e1", Revision: 41}
	showsAs(t, "the whole", `{"scope":"production","epoch":"e1","revision":42,"layout":3,"as_of":1770087906000000000}`, bundles.Meta(whole, 3, second))
	showsAs(t, "the whole in layout 2", `{"scope":"production","epoch":"e1","revision":42,"layout":2}`, bundles.Meta(whole, 2, second))
	showsAs(t, "the part with the policy", `{"scope":"production","epoch":"e1","revision":41,"layout":3,"as_of":1}`, bundles.Meta(part, 3, time.Unix(0, 1)))
	showsAs(t, "a part", `{"scope":"production","epoch":"e1","revision":41,"as_of":1770087906000000000}`, bundles.PartMeta(part, second))
	showsAs(t, "a part that was never current", `{"scope":"production","epoch":"e1","revision":41,"as_of":0}`, bundles.PartMeta(part, time.Time{}))
}

// What cannot be read as a duration is no reason to trust old data.
func TestTheMostOfStalenessIsNanoseconds(t *testing.T) {
	t.Parallel()
	for staleness, want := range map[string]string{"15m": "900000000000", "0": "0", "0s": "0", "1ns": "1", "-1m": "-60000000000", "": "null", "15": "null", "never": "null"} {
		e := registry.EnvironmentFacts{Name: "production", Grants: "permissions", MaxStaleness: staleness}
		showsAs(t, "layout 3, "+staleness, `{"name":"production","grants":"permissions","max_staleness":`+want+`}`, bundles.Environment(3, e))
		showsAs(t, "layout 2, "+staleness, `{"name":"production","grants":"permissions","max_staleness":"`+staleness+`"}`, bundles.Environment(2, e))
	}
}

func TestLayersSayWhatTheyListAndNothingElse(t *testing.T) {
	t.Parallel()
	const empty = `{"deny":[],"allow":[],"required":false,"rego":false,"ceiling":null}`
	hours := func(h registry.Hours) registry.LayerFacts {
		return registry.LayerFacts{Rules: []registry.Rule{{Code: "x", Effect: registry.Deny, When: registry.Conditions{OutsideHours: &h}}}}
	}
	hoursAre := func(want string) string {
		return `{"deny":[{"code":"x","when":{"outside_hours":` + want + `}}],"allow":[],"required":false,"rego":false,"ceiling":null}`
	}
	const week = `["Monday","Tuesday","Wednesday","Thursday","Friday","Saturday","Sunday"]`
	for name, row := range map[string]struct {
		layer registry.LayerFacts
		want  string
	}{
		"nothing": {registry.LayerFacts{}, empty},
		"not who it is of, nor what people read": {
			registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "red"}, Environment: "production", Revision: 7, Previous: "package x"}, empty,
		},
		"required Rego": {registry.LayerFacts{Rego: "package x", Required: true}, `{"deny":[],"allow":[],"required":true,"rego":true,"ceiling":null}`},
		"rules by effect, in their order": {
			registry.LayerFacts{Rules: []registry.Rule{
				{Code: "b", Effect: registry.Deny, Message: "for people"}, {Code: "d", Effect: registry.Allow}, {Code: "a", Effect: registry.Deny}, {Code: "c", Effect: registry.Allow},
			}},
			`{"deny":[{"code":"b","when":{}},{"code":"a","when":{}}],"allow":[{"code":"d","when":{}},{"code":"c","when":{}}],"required":false,"rego":false,"ceiling":null}`,
		},
		"effects that we do not know deny": {
			registry.LayerFacts{Rules: []registry.Rule{{Code: "a"}, {Code: "b", Effect: "Allow"}}},
			`{"deny":[{"code":"a","when":{}},{"code":"b","when":{}}],"allow":[],"required":false,"rego":false,"ceiling":null}`,
		},
		"all conditions, sorted": {
			registry.LayerFacts{Rules: []registry.Rule{{Code: "x", Effect: registry.Deny, When: registry.Conditions{
				Resources: []string{"b", "a", "b"}, ResourceTypes: []registry.ResourceType{registry.Tool, registry.Skill}, Methods: []string{"PUT", "GET"},
				Environments: []string{"staging", "production"}, DataClassification: []string{"low", "high"}, Permissions: []string{"z", "y"}, AgentTypes: []string{"w", "v"},
				OutsideHours: &registry.Hours{From: "09:00", To: "17:30", Days: []string{"fri", "mon", "fri"}, Timezone: "Europe/Berlin"},
			}}}},
			`{"deny":[{"code":"x","when":{"resources":["a","b"],"resource_types":["skill","tool"],"methods":["GET","PUT"],"environments":["production","staging"],` +
				`"data_classification":["high","low"],"permissions":["y","z"],"agent_types":["v","w"],` +
				`"outside_hours":{"from":540,"to":1050,"days":["Monday","Friday"],"timezone":"Europe/Berlin"}}}],"allow":[],"required":false,"rego":false,"ceiling":null}`,
		},
		"an empty list is listed": {
			registry.LayerFacts{Rules: []registry.Rule{{Code: "x", Effect: registry.Allow, When: registry.Conditions{Resources: []string{}, ResourceTypes: []registry.ResourceType{}}}}},
			`{"deny":[],"allow":[{"code":"x","when":{"resources":[],"resource_types":[]}}],"required":false,"rego":false,"ceiling":null}`,
		},
		"a ceiling bounds with lists": {
			registry.LayerFacts{Ceiling: &registry.Ceiling{Permissions: []string{"b", "a"}}},
			`{"deny":[],"allow":[],"required":false,"rego":false,"ceiling":{"permissions":["a","b"],"data_classification":null}}`,
		},
		"an empty ceiling": {
			registry.LayerFacts{Ceiling: &registry.Ceiling{Permissions: []string{}, DataClassification: []string{}}},
			`{"deny":[],"allow":[],"required":false,"rego":false,"ceiling":{"permissions":[],"data_classification":[]}}`,
		},
		"hours of every day in UTC": {hours(registry.Hours{From: "00:00", To: "24:00"}), hoursAre(`{"from":0,"to":1440,"days":` + week + `,"timezone":"UTC"}`)},
		"hours over midnight":       {hours(registry.Hours{From: "23:59", To: "00:01", Days: []string{"sun"}}), hoursAre(`{"from":1439,"to":1,"days":["Sunday"],"timezone":"UTC"}`)},
		"hours that are none":       {hours(registry.Hours{From: "9:00", To: "24:01"}), hoursAre(`{"from":null,"to":null,"days":` + week + `,"timezone":"UTC"}`)},
		"more hours that are none":  {hours(registry.Hours{From: "-1:00", To: "12:60"}), hoursAre(`{"from":null,"to":null,"days":` + week + `,"timezone":"UTC"}`)},
		"a day that is none": {
			hours(registry.Hours{From: "09:00", To: "25:00", Days: []string{"mon", "Monday"}, Timezone: "Mars/Olympus"}),
			hoursAre(`{"from":540,"to":null,"days":null,"timezone":"Mars/Olympus"}`),
		},
	} {
		showsAs(t, name, row.want, bundles.Layer(row.layer))
	}
}

// A list that many records share stays as it was.
func TestLayerLeavesItsFactsAlone(t *testing.T) {
	t.Parallel()
	resources := []string{"b", "a", "a"}
	bundles.Layer(registry.LayerFacts{Rules: []registry.Rule{{When: registry.Conditions{Resources: resources}}}, Ceiling: &registry.Ceiling{Permissions: resources}})
	if diff := cmp.Diff([]string{"b", "a", "a"}, resources); diff != "" {
		t.Errorf("the list (-before +after):\n%s", diff)
	}
}
