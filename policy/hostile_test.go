package policy_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/credenceproject/credence/policy"
)

// Whatever is asked, on whatever data, there is one decision, and it contradicts
// itself nowhere.
func TestDecisionIsAlwaysDefined(t *testing.T) {
	t.Parallel()
	data := layered(everyLayer())
	data["parts"] = object{"resources": object{"scope": "production", "epoch": "e1", "revision": 41, "as_of": time.Now().UnixNano()}}
	modules := newEngine(t, policy.Query, data)
	damaged := make([]engine, 40)
	for i := range damaged {
		damaged[i] = newEngine(t, policy.Query, damage(rapid.Custom(hostileValue(3))).Example(i).apply(plain(t, data)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		asked := rapid.SampledFrom([]object{input("alice@clients", "POST", "hello"), envoyInput("alice@clients", "POST", "/mcp/hello/say")}).Draw(rt, "asked")
		for _, d := range rapid.SliceOfN(damage(rapid.Custom(hostileValue(3))), 0, 3).Draw(rt, "damage") {
			asked, _ = d.apply(plain(t, asked)).(object)
		}
		e := modules
		if rapid.Bool().Draw(rt, "damaged data") {
			e = rapid.SampledFrom(damaged).Draw(rt, "data")
		}
		got, err := e.eval(t.Context(), asked)
		if err != nil {
			rt.Fatalf("decide: %v", err)
		}
		consistent(rt, got)
	})
}

// Whatever stands where a moment should, an agent is let in by two kinds of value
// alone: null, and a number on the right side of the clock or of the token's age.
func TestNoDamagedMomentLetsAnybodyIn(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "data.mcp.authz.decision.allow with input as input.asked with data.registry as input.registry", object{})
	now := float64(time.Now().UnixNano())
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) any {
			likely := []any{nil, json.Number("1700000000"), json.Number("1.7e18"), json.Number("4102444800000000000")}
			if rapid.Bool().Draw(rt, "likely "+label) {
				return rapid.SampledFrom(likely).Draw(rt, label)
			}
			return rapid.Custom(hostileValue(2)).Draw(rt, label)
		}
		data, asked := fixture(), input("alice@clients", "POST", "hello")
		agent, token := record(data["agents"], "alice@clients").(object), asked["jwt"].(object)["payload"].(object)
		agent["expires_at"], agent["valid_after"], token["iat"] = draw("expires_at"), draw("valid_after"), draw("iat")
		got, err := e.eval(t.Context(), plain(t, object{"asked": asked, "registry": data}))
		if err != nil {
			rt.Fatalf("decide: %v", err)
		}
		inTerm := agent["expires_at"] == nil || number(agent["expires_at"]) > now
		since := agent["valid_after"] == nil || number(token["iat"])*1e9 >= number(agent["valid_after"])
		if got != (inTerm && since) {
			rt.Errorf("expires_at %v, valid_after %v, iat %v: allow is %v", agent["expires_at"], agent["valid_after"], token["iat"], got)
		}
	})
}

// number is the value of a number, and nothing that compares for what is none.
func number(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return math.NaN()
	}
	f, _ := n.Float64() // infinite where it is too large
	return f
}

func consistent(rt *rapid.T, decision any) {
	d, ok := decision.(object)
	if !ok {
		rt.Fatalf("the decision is %v", decision)
	}
	reasons, ok := d["reasons"].([]any)
	allow, isBool := d["allow"].(bool)
	switch {
	case !ok || !isBool || d["allowed"] != d["allow"]:
		rt.Fatalf("allow is %v, allowed %v, reasons %v", d["allow"], d["allowed"], d["reasons"])
	case allow != (len(reasons) == 0) || len(reasons) > 32:
		rt.Fatalf("allow is %t for the reasons %v", allow, reasons)
	case allow != (d["http_status"] == json.Number("200")):
		rt.Fatalf("allow is %t, and the status %v", allow, d["http_status"])
	}
	if _, ok := d["revision"].(json.Number); !ok {
		rt.Fatalf("the revision is %v", d["revision"])
	}
	headers, ok := d["headers"].(object)
	if !ok {
		rt.Fatalf("the headers are %v", d["headers"])
	}
	for _, name := range []string{"x-agent-id", "x-agent-name", "x-agent-team", "x-agent-type", "x-agent-environment"} {
		if v, ok := headers[name].(string); ok != allow || allow && v == "" {
			rt.Fatalf("allow is %t, and %s is %v", allow, name, headers[name])
		}
	}
}

// damaged is a place in a document, as steps from its root, and what is put there.
type damaged struct {
	steps []int
	value any
}

func damage(value *rapid.Generator[any]) *rapid.Generator[damaged] {
	return rapid.Custom(func(t *rapid.T) damaged {
		return damaged{
			steps: rapid.SliceOfN(rapid.IntRange(0, 7), 1, 8).Draw(t, "steps"),
			value: value.Draw(t, "value"),
		}
	})
}

// apply returns v with the value at the place that the steps lead to.
func (d damaged) apply(v any) any {
	if len(d.steps) == 0 {
		return d.value
	}
	rest := damaged{d.steps[1:], d.value}
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			return d.value
		}
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		key := keys[d.steps[0]%len(keys)]
		v[key] = rest.apply(v[key])
		return v
	case []any:
		if len(v) == 0 {
			return d.value
		}
		i := d.steps[0] % len(v)
		v[i] = rest.apply(v[i])
		return v
	default:
		return d.value
	}
}

// hostileValue draws any JSON value, among them what passes for another one.
func hostileValue(depth int) func(*rapid.T) any {
	return func(t *rapid.T) any {
		leaves := []any{
			nil, true, false, "", "true", "hello", "alice@clients", "skills:invoke", "\x00", "東京", "..",
			json.Number("0"), json.Number("-1"), json.Number("1e400"), json.Number("9223372036854775808"), json.Number("0.1"),
		}
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0 && depth > 0:
			return rapid.SliceOfN(rapid.Custom(hostileValue(depth-1)), 0, 3).Draw(t, "list")
		case kind == 1 && depth > 0:
			return rapid.MapOfN(rapid.SampledFrom([]string{"", "sub", "exp", "hello", "valid"}), rapid.Custom(hostileValue(depth-1)), 0, 3).Draw(t, "object")
		default:
			return rapid.SampledFrom(leaves).Draw(t, "leaf")
		}
	}
}
