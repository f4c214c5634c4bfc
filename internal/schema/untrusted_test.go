package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

// fanOut is a schema of n definitions, each of which refers twice to the next:
// expanded it stands for 2^n.
func fanOut(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"object"}}}`, n)
	return b.String()
}

// refs is a schema with n references to one definition.
func refs(n int) string {
	return `{"$defs":{"a":{}},"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"$ref":"#/$defs/a"},`, n), ",") + `]}`
}

// wide is a schema of n subschemas, itself among them.
func wide(n int) string {
	return `{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{},`, n-1), ",") + `]}`
}

// expanding is a schema that stands for 9,990 subschemas and those of more.
func expanding(more string) string {
	return `{"$defs":{"a":` + wide(998) + `},"if":` + more + `,"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"$ref":"#/$defs/a"},`, 9), ",") + `]}`
}

// nested is a schema of n subschemas, each in the one before it.
func nested(n int) string {
	return strings.Repeat(`{"not":`, n-1) + `{}` + strings.Repeat(`}`, n-1)
}

// TestInvariant_E1_SchemasAreBoundedAndLoadNothing, each within moments.
func TestInvariant_E1_SchemasAreBoundedAndLoadNothing(t *testing.T) {
	t.Parallel()
	padded := func(size int) string {
		const frame = `{"$comment":""}`
		return `{"$comment":"` + strings.Repeat("x", size-len(frame)) + `"}`
	}
	tests := []struct {
		name, source string
		want         []fault
	}{
		{"64 KiB", padded(64 << 10), nil},
		{"64 KiB and a byte", padded(64<<10 + 1), []fault{{"", "too_large"}}},
		{"200 references", refs(200), nil},
		{"201 references", refs(201), []fault{{"", "too_many_refs"}}},
		{"2,000 subschemas", wide(2_000), nil},
		{"2,001 subschemas", wide(2_001), []fault{{"", "too_many_subschemas"}}},
		{"10,000 subschemas, expanded", expanding(wide(10)), nil},
		{"10,001 subschemas, expanded", expanding(wide(11)), []fault{{"", "too_many_subschemas"}}},
		{"a fan-out of 2^8", fanOut(8), nil},
		{"a fan-out of 2^30", fanOut(30), []fault{{"", "too_deep"}, {"", "too_many_subschemas"}}},
		{"32 deep", nested(32), nil},
		{"33 deep", nested(33), []fault{{"", "too_deep"}}},

		{"a file", `{"$ref":"file:///etc/passwd"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"a path", `{"properties":{"a":{"$ref":"/etc/passwd"}}}`, []fault{{"/properties/a/$ref", "ref_not_local"}}},
		{"a relative path", `{"$ref":"x.json#/a"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"the net", `{"$ref":"http://169.254.169.254/latest/"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"the metaschema", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"a URN", `{"$ref":"urn:a:b"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"its own name", `{"$id":"https://a.example/s","$ref":"https://a.example/s#/$defs/a","$defs":{"a":{}}}`, []fault{{"/$ref", "ref_not_local"}}},
		{"the loader's base by $id", `{"$id":"file:///etc/","$ref":"passwd"}`, []fault{{"/$ref", "ref_not_local"}}},
		{"a base below the root", `{"properties":{"a":{"$id":"file:///etc/","$ref":"#/$defs/x"}},"$defs":{"x":{}}}`,
			[]fault{{"/properties/a/$id", "keyword_not_allowed"}}},
		{"another dialect below the root", `{"$defs":{"a":{"$schema":"http://json-schema.org/draft-07/schema#"}}}`,
			[]fault{{"/$defs/a/$schema", "keyword_not_allowed"}}},
		{"dynamic references", `{"$dynamicRef":"#m","$dynamicAnchor":"m","$recursiveRef":"#","$recursiveAnchor":true}`, []fault{
			{"/$dynamicAnchor", "keyword_not_allowed"}, {"/$dynamicRef", "keyword_not_allowed"},
			{"/$recursiveAnchor", "keyword_not_allowed"}, {"/$recursiveRef", "keyword_not_allowed"},
		}},
		{"a vocabulary", `{"$vocabulary":{"https://a.example/v":true}}`, []fault{{"/$vocabulary", "keyword_not_allowed"}}},
		{"draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#"}`, []fault{{"/$schema", "unsupported_dialect"}}},
		{"a dialect of one's own", `{"$schema":"file:///etc/passwd"}`, []fault{{"/$schema", "unsupported_dialect"}}},

		{"itself", `{"$ref":"#"}`, []fault{{"", "ref_recursive"}}},
		{"a tree", `{"properties":{"children":{"items":{"$ref":"#"}}}}`, []fault{{"", "ref_recursive"}}},
		{"a circle", `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`, []fault{{"/$defs/a", "ref_recursive"}}},
		{"a circle by a part", `{"$ref":"#/$defs/p/not","$defs":{"p":{"not":{"if":{"$ref":"#/$defs/p"}}}}}`, []fault{{"/$defs/p", "ref_recursive"}}},
		{"a circle of its own", `{"$defs":{"a":{"$anchor":"x","not":{"$ref":"#x"}}}}`, []fault{{"/$defs/a", "ref_recursive"}}},
		{"nothing", `{"$ref":"#/$defs/a"}`, []fault{{"/$ref", "ref_not_found"}}},
		{"no subschema", `{"$ref":"#/examples/0","examples":[{"$id":"file:///"}]}`, []fault{{"/$ref", "ref_not_found"}}},
		{"no anchor", `{"$ref":"#a"}`, []fault{{"/$ref", "ref_not_found"}}},
		{"two anchors", `{"$defs":{"a":{"$anchor":"x"},"b":{"$ref":"#x"}},"$anchor":"y"}`, nil},
		{"an anchor twice", `{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}`, []fault{{"/$defs/b/$anchor", "duplicate"}}},

		{"a pattern of 513 bytes", `{"pattern":"` + strings.Repeat("a", 513) + `"}`, []fault{{"/pattern", "pattern_too_large"}}},
		{"a pattern that unfolds", `{"pattern":"(a{30}){30}"}`, nil},
		{"a pattern that unfolds too far", `{"pattern":"a{1000}b{1000}c{1000}"}`, []fault{{"/pattern", "pattern_too_large"}}},
		{"a pattern beyond RE2's own bound", `{"pattern":"((a{100}){100}){100}"}`, []fault{{"/pattern", "invalid_pattern"}}},
		{"lookahead", `{"patternProperties":{"^(?=a)/":{}}}`, []fault{{"/patternProperties/^(?=a)~1", "invalid_pattern"}}},
		{"a backreference", `{"pattern":"(a)\\1"}`, []fault{{"/pattern", "invalid_pattern"}}},
		{"many large patterns", `{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"pattern":"a{500}b{500}"},`, 20), ",") + `]}`,
			[]fault{{"", "pattern_too_large"}}},

		{"no schema", `[]`, []fault{{"", "type"}}},
		{"a typing error", `{"requried":["a"],"x-note":1}`, []fault{{"/requried", "unknown_keyword"}}},
		{"legacy keywords that are schemas or not", `{"dependencies":"x","additionalItems":1,"regexProperties":2,"nullable":true}`, []fault{
			{"/additionalItems", "unknown_keyword"}, {"/dependencies", "unknown_keyword"}, {"/nullable", "unknown_keyword"}, {"/regexProperties", "unknown_keyword"},
		}},
		{"faults of every kind at once", `{"type":"objekt","properties":{"a":5,"b":{"minLength":-1,"maxLength":1e300,"required":"a","$ref":7,"pattern":"["}},
			"anyOf":[],"enum":{},"items":[{}],"multipleOf":0}`, []fault{
			{"/anyOf", "minItems"}, {"/enum", "type"}, {"/items", "type"}, {"/multipleOf", "exclusiveMinimum"},
			{"/properties/a", "type"}, {"/properties/b/$ref", "type"}, {"/properties/b/maxLength", "maximum"}, {"/properties/b/minLength", "minimum"},
			{"/properties/b/pattern", "invalid_pattern"}, {"/properties/b/required", "type"}, {"/type", "anyOf"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.CompileUntrusted([]byte(tt.source))
			wantFaults(t, err, "invalid_schema", tt.want...)
		})
	}
}

func TestCompileUntrustedRefusesWhatIsNotStrictJSON(t *testing.T) {
	t.Parallel()
	for code, source := range map[string]string{
		"duplicate_key":       `{"type":"object","type":"string"}`,
		"number_out_of_range": `{"minimum":1e9999999}`,
		"too_deep":            nested(70),
	} {
		_, err := schema.CompileUntrusted([]byte(source))
		if e, ok := registry.AsError(err); !ok || e.Code != code {
			t.Errorf("CompileUntrusted(%.40s) = %v, want %s", source, err, code)
		}
	}
}

func TestReferencesWorkHoweverTheyAreSpelled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "a b", "a/b", "a~b", "a%b", "é", `"`, "$", "[", "a:b", "*", "?", "#", "properties"} {
		token := strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		escaped := strings.NewReplacer("%", "%25", " ", "%20", "#", "%23", `"`, "%22", "é", "%C3%A9", "a", "%61").Replace(token)
		for _, ref := range []string{"#/$defs/" + escaped, "#/%24defs/" + escaped, "#x"} {
			source, err := json.Marshal(map[string]any{
				"properties": map[string]any{name: map[string]any{"$ref": ref}},
				"$defs":      map[string]any{name: map[string]any{"$anchor": "x", "type": "integer"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := schema.CompileUntrusted(source)
			if err != nil {
				t.Errorf("%s: %v", source, err)
				continue
			}
			data, err := json.Marshal(map[string]any{name: "text"})
			if err != nil {
				t.Fatal(err)
			}
			wantFaults(t, c.Validate(data), "invalid_config", fault{"/" + token, "type"})
		}
	}
}

func TestEveryKeywordReportsItself(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source, data string
		want         []fault
	}{
		{`false`, `{}`, []fault{{"", "not_allowed"}}},
		{`{"properties":{"a":false}}`, `{"a":1}`, []fault{{"/a", "not_allowed"}}},
		{`{"properties":{"unevaluatedProperties":false}}`, `{"unevaluatedProperties":1}`, []fault{{"/unevaluatedProperties", "not_allowed"}}},
		{`{"unevaluatedProperties":false,"properties":{"a":{}}}`, `{"a":1,"b":1}`, []fault{{"/b", "unknown_field"}}},
		{`{"unevaluatedProperties":{"type":"string"}}`, `{"b":1}`, []fault{{"/b", "type"}}},
		{`{"properties":{"l":{"prefixItems":[{}],"items":false}}}`, `{"l":[1,2]}`, []fault{{"/l/1", "items"}}},
		{`{"properties":{"l":{"prefixItems":[{}],"unevaluatedItems":false}}}`, `{"l":[1,2]}`, []fault{{"/l/1", "unevaluatedItems"}}},
		{`{"properties":{"l":{"contains":{"const":1}}}}`, `{"l":[2]}`, []fault{{"/l", "contains"}}},
		{`{"properties":{"l":{"contains":{"const":1},"minContains":2,"maxContains":1}}}`, `{"l":[1]}`, []fault{{"/l", "minContains"}}},
		{`{"properties":{"l":{"contains":{"const":1},"maxContains":1}}}`, `{"l":[1,1]}`, []fault{{"/l", "maxContains"}}},
		{`{"properties":{"n":{"const":1.5}}}`, `{"n":2}`, []fault{{"/n", "const"}}},
		{`{"properties":{"n":{"multipleOf":0.1,"exclusiveMinimum":0,"exclusiveMaximum":0}}}`, `{"n":0.25}`,
			[]fault{{"/n", "exclusiveMaximum"}, {"/n", "multipleOf"}}},
		{`{"properties":{"n":{"not":{"type":"integer"}}}}`, `{"n":1}`, []fault{{"/n", "not"}}},
		{`{"properties":{"n":{"oneOf":[{"type":"integer"},{"minimum":0}]}}}`, `{"n":1}`, []fault{{"/n", "oneOf"}}},
		{`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{"a":1}`, []fault{{"/b", "required"}}},
		{`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{}`, []fault{{"/c", "required"}}},
		{`{"dependentSchemas":{"a":{"required":["b"]}}}`, `{"a":1}`, []fault{{"/b", "required"}}},
		{`{"dependentRequired":{"a/b":["c/d","e"]}}`, `{"a/b":1}`, []fault{{"/c~1d", "dependentRequired"}, {"/e", "dependentRequired"}}},
		{`{"propertyNames":{"maxLength":1},"minProperties":3}`, `{"ab":1}`, []fault{{"", "minProperties"}, {"/ab", "maxLength"}}},
		{`{"additionalProperties":{"type":"string"},"properties":{"required":{}}}`, `{"required":1,"b":1}`, []fault{{"/b", "type"}}},
		{`{"$ref":"#/$defs/anyOf","$defs":{"anyOf":{"required":["a"],"type":"object","maxProperties":0}}}`, `{"b":1}`,
			[]fault{{"", "maxProperties"}, {"/a", "required"}}},
		{`{"$ref":"#/anyOf/0","anyOf":[{"required":["a"],"maxProperties":0},{}]}`, `{"b":1}`, []fault{{"", "maxProperties"}, {"/a", "required"}}},
		{`{"properties":{"":{"required":["a"]}}}`, `{"":{},"a":1}`, []fault{{"", "invalid"}}},                           // the library does not say where
		{`{"properties":{"p":{"pattern":"` + strings.Repeat("é", 250) + `"}}}`, `{"p":""}`, []fault{{"/p", "pattern"}}}, // described in short
		{`{"properties":{"e":{"format":"email"}}}`, `{"e":"nobody"}`, nil},                                              // formats are annotations
	}
	for _, tt := range tests {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			c, err := schema.CompileUntrusted([]byte(tt.source))
			if err != nil {
				t.Fatal(err)
			}
			wantFaults(t, c.Validate([]byte(tt.data)), "invalid_config", tt.want...)
		})
	}
}

func TestValidateBoundsTheConfig(t *testing.T) {
	t.Parallel()
	c, err := schema.CompileUntrusted([]byte(`true`))
	if err != nil {
		t.Fatal(err)
	}
	config := []byte(`"` + strings.Repeat("x", schema.MaxConfigBytes-1) + `"`)
	wantFaults(t, c.Validate(config), "invalid_config", fault{"", "too_large"})
	if err := c.Validate([]byte(`1e9999999`)); !errors.Is(err, registry.Invalid) {
		t.Errorf("Validate(1e9999999) = %v, want Invalid", err)
	}
}

// TestInvariant_E1_ValidationIsBounded: schema and config are each within their
// bounds, but together they ask for more work than is done for them.
func TestInvariant_E1_ValidationIsBounded(t *testing.T) {
	t.Parallel()
	repeat := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	allOf := func(n int, s string) string { return `{"allOf":[` + repeat(n, s) + `]}` }
	items := func(s string) string { return `{"properties":{"l":{"items":` + s + `}}}` }
	members := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"k%d":0`, i)
		}
		return `{` + strings.Join(list, ",") + `}`
	}
	numbers := make([]string, 9000)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i + 1)
	}
	zeros := `{"l":[` + repeat(8000, "0") + `]}`
	tests := []struct {
		name, source, data string
		want               []fault
	}{
		{"few rules, few items", items(allOf(20, `{}`)), `{"l":[` + repeat(1000, "0") + `]}`, nil},
		{"many rules, few items", items(allOf(1900, `{}`)), `{"l":[0,1,2]}`, nil},
		{"many rules, many items", items(allOf(1900, `{}`)), zeros, []fault{{"", "too_complex"}}},
		{"many rules by reference", `{"$defs":{"a":` + allOf(900, `{}`) + `},"additionalProperties":` + allOf(9, `{"$ref":"#/$defs/a"}`) + `}`,
			members(1500), []fault{{"", "too_complex"}}},
		{"a long enum", items(`{"enum":[` + strings.Join(numbers, ",") + `]}`), zeros, []fault{{"", "too_complex"}}},
		{"long numbers", items(`{"enum":[` + strings.Join(numbers, ",") + `]}`), `{"l":[` + repeat(3, strings.Repeat("1", 300)) + `]}`, []fault{{"", "too_complex"}}},
		{"slow patterns", `{"properties":{"s":` + allOf(9, `{"pattern":"(x+x+){20}y"}`) + `}}`, `{"s":"` + strings.Repeat("x", 16000) + `"}`,
			[]fault{{"", "too_complex"}}},
		{"slow patterns of names", `{"patternProperties":{"(.*a){200}":{}}}`, members(1500), []fault{{"", "too_complex"}}},
		{"a long text", `{"properties":{"s":{"pattern":"^[a-z]{1,99}$"}}}`, `{"s":"` + strings.Repeat("x", 99) + `"}`, nil},
		{"unique again and again", `{"properties":{"l":` + allOf(100, `{"uniqueItems":true}`) + `}}`,
			`{"l":[[` + repeat(3000, "0") + `],[` + repeat(3000, "0") + `]]}`, []fault{{"", "too_complex"}}},
		{"evaluated again and again", allOf(1900, `{}`), members(1500), []fault{{"", "too_complex"}}},
		{"division", items(allOf(10, `{"multipleOf":1e-300}`)), `{"l":[` + repeat(800, "1e300") + `]}`, []fault{{"", "too_complex"}}},
		{"deep", strings.Repeat(`{"allOf":[`, 27) + items(allOf(4, `false`)) + strings.Repeat(`]}`, 27), zeros, []fault{{"", "too_complex"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := schema.CompileUntrusted([]byte(tt.source))
			if err != nil {
				t.Fatal(err)
			}
			wantFaults(t, c.Validate([]byte(tt.data)), "invalid_config", tt.want...)
		})
	}
}

// FuzzCompileUntrusted: no schema and no config make it panic or wait.
func FuzzCompileUntrusted(f *testing.F) {
	for _, seed := range []string{
		supportSchema, fanOut(4), refs(3), wide(5), nested(5), `true`, `{"$ref":"#"}`, `{"$ref":"file:///etc/passwd"}`,
		`{"$anchor":"a","$defs":{"":{"$ref":"#a"}}}`, `{"patternProperties":{"^(a+)+$":{"enum":[1,null]}},"minLength":1.0}`,
		`{"definitions":{"a":7},"if":null,"contentMediaType":"x","contentSchema":{},"type":["null",1],"required":[1]}`,
		`{"properties":{"a%2fb":{"$ref":"#/properties/a%252fb"}},"dependentRequired":{"a":["b"]},"multipleOf":0.1,"format":"regex"}`,
	} {
		f.Add([]byte(seed), []byte(`{"a":[1,"x",null,{"to":1.5}],"a%2fb":true}`))
	}
	f.Fuzz(func(t *testing.T, source, data []byte) {
		c, err := schema.CompileUntrusted(source)
		if err != nil {
			if _, ok := registry.AsError(err); !ok {
				t.Fatalf("error without a kind: %v", err)
			}
			return
		}
		if err := c.Validate(data); err != nil {
			if _, ok := registry.AsError(err); !ok {
				t.Fatalf("error without a kind: %v", err)
			}
		}
	})
}
