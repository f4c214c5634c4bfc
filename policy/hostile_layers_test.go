package policy_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// everyLayer is a layer in each tier of alice's that has something of everything and
// lets her call pass.
func everyLayer() object {
	elsewhere := object{
		"resources": []any{"billing"}, "resource_types": []any{"data_sink"}, "methods": []any{"DELETE"}, "environments": []any{"staging"},
		"data_classification": []any{"restricted"}, "permissions": []any{"data:write"}, "agent_types": []any{"batch"},
		"outside_hours": object{"from": 0, "to": 1440, "days": []any{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}, "timezone": "UTC"},
	}
	fields := func(ceiling any) object {
		return layer(object{"deny": []any{rule("closed", elsewhere)}, "allow": []any{rule("open", object{"resources": []any{"hello"}})}, "ceiling": ceiling})
	}
	ceiling := object{"permissions": []any{"skills:invoke", "hello:say"}, "data_classification": []any{"low"}}
	return object{"global/rules": fields(nil), "team/red": fields(ceiling), "agent_type/support": fields(ceiling), "agent/0197-alice": fields(nil)}
}

const damagedLayer = "data.mcp.authz.decision.allow with input as input.asked with data.registry as input.registry"

// Whatever stands in a record of a layer that denies the call, it stays denied. Two
// values alone say well that nothing is denied: no rule at all, and a list of
// conditions that the call does not meet, which no value drawn here is.
func TestNoDamagedLayerOpens(t *testing.T) {
	t.Parallel()
	e := newEngine(t, damagedLayer, object{})
	rapid.Check(t, func(rt *rapid.T) {
		key := rapid.SampledFrom([]string{"global/rules", "team/red", "agent_type/support", "agent/0197-alice"}).Draw(rt, "layer")
		records := everyLayer()
		records[key].(object)["deny"] = []any{rule("closed", object{"resources": []any{"hello"}, "methods": []any{"POST"}})}
		d := damage(rapid.Custom(hostileValue(2))).Draw(rt, "damage")
		records[key] = d.apply(plain(t, records[key]))
		if saysNothingIsDenied(records[key]) {
			return
		}
		got, err := e.eval(t.Context(), plain(t, object{"asked": input("alice@clients", "POST", "hello"), "registry": layered(records)}))
		if err != nil {
			rt.Fatalf("decide: %v", err)
		}
		if got != false {
			rt.Errorf("the layer %s is %v: allow is %v", key, records[key], got)
		}
	})
}

func saysNothingIsDenied(record any) bool {
	r, _ := record.(object)
	deny, isList := r["deny"].([]any)
	if !isList || len(deny) == 0 {
		return isList
	}
	rule, _ := deny[0].(object)
	when, _ := rule["when"].(object)
	for condition, met := range map[string]string{"resources": "hello", "methods": "POST"} {
		if values, isList := when[condition].([]any); isList && allStrings(values) && !slices.Contains(values, any(met)) {
			return true
		}
	}
	return false
}

func allStrings(values []any) bool {
	for _, v := range values {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

// Whatever stands in a record of a layer that allows another call, it does not allow
// this one, unless it says well that every call is allowed, or lists this one.
func TestNoDamagedLayerGrants(t *testing.T) {
	t.Parallel()
	e := newEngine(t, damagedLayer, object{})
	rapid.Check(t, func(rt *rapid.T) {
		records := object{"team/red": layer(object{"allow": []any{rule("open", object{"resources": []any{"billing"}, "methods": []any{"DELETE"}})}})}
		d := damage(rapid.Custom(hostileValue(2))).Draw(rt, "damage")
		records["team/red"] = d.apply(plain(t, records["team/red"]))
		data := layered(records)
		data["environment"].(object)["grants"] = "explicit"
		got, err := e.eval(t.Context(), plain(t, object{"asked": input("alice@clients", "POST", "hello"), "registry": data}))
		if err != nil {
			rt.Fatalf("decide: %v", err)
		}
		if got != saysAllIsAllowed(records["team/red"]) {
			rt.Errorf("the layer is %v: allow is %v", records["team/red"], got)
		}
	})
}

func saysAllIsAllowed(record any) bool {
	r, _ := record.(object)
	allow, _ := r["allow"].([]any)
	if len(allow) == 0 || len(r) != 5 {
		return false
	}
	rule, _ := allow[0].(object)
	when, isObject := rule["when"].(object)
	return isObject && len(when) == 0
}

// Whatever stands where a moment of the data or the most of its age should, the data
// is fresh by two kinds of value alone: numbers that are close enough, and a most of
// zero.
func TestNoDamagedStampIsFresh(t *testing.T) {
	t.Parallel()
	e := newEngine(t, damagedLayer, object{})
	now := time.Now().UnixNano() // a while before the clock that the policy reads
	ns := func(n int64) any { return json.Number(strconv.FormatInt(n, 10)) }
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string, likely ...any) any {
			if rapid.Bool().Draw(rt, "likely "+label) {
				return rapid.SampledFrom(likely).Draw(rt, label)
			}
			return rapid.Custom(hostileValue(2)).Draw(rt, label)
		}
		data := fixture()
		asOf, part := draw("as_of", ns(now), ns(now-int64(time.Hour)), ns(0)), draw("as_of of a part", ns(now), ns(now-int64(time.Hour)), ns(0))
		most := draw("max_staleness", ns(0), ns(int64(time.Minute)), ns(int64(2*time.Hour)))
		data["meta"].(object)["as_of"], data["environment"].(object)["max_staleness"] = asOf, most
		data["parts"] = object{"resources": object{"scope": "production", "epoch": "e1", "revision": 41, "as_of": part}}
		got, err := e.eval(t.Context(), plain(t, object{"asked": input("alice@clients", "POST", "hello"), "registry": data}))
		if err != nil {
			rt.Fatalf("decide: %v", err)
		}
		current := func(v any) bool { return number(v) >= float64(now)+1e3-number(most) }
		numbers := !math.IsNaN(number(asOf)) && !math.IsNaN(number(part)) && !math.IsNaN(number(most))
		if want := numbers && (number(most) == 0 && number(asOf) >= 0 && number(part) >= 0 || number(most) != 0 && current(asOf) && current(part)); got != want {
			rt.Errorf("as_of %v, of a part %v, max_staleness %v: allow is %v", asOf, part, most, got)
		}
	})
}
