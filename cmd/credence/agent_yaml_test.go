package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

func TestYAMLIsTheJSONThatItStandsFor(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a: 1":                       `{"a":1}`,
		"{a: [1, x, null, ~, true]}": `{"a":[1,"x",null,null,true]}`,
		"# why\n---\na: b\n...\n":    `{"a":"b"}`,
		"a: no":                      `{"a":"no"}`,
		"a: yes\nb: off":             `{"a":"yes","b":"off"}`,
		"a: 2026-03-04":              `{"a":"2026-03-04"}`,
		"a: '1'\nb: \"true\"":        `{"a":"1","b":"true"}`,
		"a: 0x1F":                    `{"a":31}`,
		"a: 0o17":                    `{"a":15}`,
		"a: +5":                      `{"a":5}`,
		"a: .5":                      `{"a":0.5}`,
		"a: 1e3":                     `{"a":1e3}`,
		"a: 12345678901234567890":    `{"a":12345678901234567890}`,
		"a: |\n  one\n  two\n":       `{"a":"one\ntwo\n"}`,
		"a:":                         `{"a":null}`,
		"a: <b>&":                    `{"a":"<b>&"}`,
		"yes: 1":                     `{"yes":1}`,
		"'1': 1":                     `{"1":1}`,
		"[]":                         `[]`,
		"a: &x 1":                    `{"a":1}`,
	} {
		got, err := yamlToJSON([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("yamlToJSON(%q) = %s, %v, want %s", in, got, err, want)
		}
	}
}

func TestWhatJSONHasNoWordForIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "empty",
		"# only words\n":        "empty",
		"a: 1\n---\nb: 2\n":     "more than one document",
		"a: &x 1\nb: *x":        "line 2: aliases",
		"a: {b: 1}\n<<: {c: 2}": "line 2: a key must be a string",
		"\n1: a":                "line 2: a key must be a string",
		"true: a":               "line 1: a key must be a string",
		"? [a]\n: b":            "line 1: a key must be a string",
		"a: .inf":               `".inf" is no number`,
		"a: .nan":               `".nan" is no number`,
		"a: !!binary aGk=":      "the tag !!binary is not read",
		"a: !mine b":            "the tag !mine is not read",
		"a: !mine {b: 1}":       "the tag !mine is not read",
		"a: !mine [b]":          "the tag !mine is not read",
		"a: !!int '[1]'":        "is no number",
		`a: !!int '"1"'`:        "is no number",
		"a: !!float 'true'":     "is no number",
		"a: !!bool 'maybe'":     "truth value",
		"a: [":                  "not YAML",
		"\tb: 1":                "not YAML",
		strings.Repeat("[", 100) + strings.Repeat("]", 100): "nested more than 64 deep",
	} {
		got, err := yamlToJSON([]byte(in))
		if !errors.Is(err, registry.Malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("yamlToJSON(%q) = %s, %v, want Malformed with %q", in, got, err, want)
		}
	}
}

// FuzzYAMLToJSON holds the conversion to its contract: JSON, or Malformed.
func FuzzYAMLToJSON(f *testing.F) {
	for _, seed := range []string{"a: 1", "a: [b, {c: .5}]", "a: &x 1\nb: *x", "!!int '1 '", "? a", "a: |\n b", "- - - -", "\xff", "a: 0x", "-0", "a: !!float 1_0"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := yamlToJSON(in)
		if err != nil {
			if !errors.Is(err, registry.Malformed) {
				t.Errorf("yamlToJSON(%q) = %v, which is not Malformed", in, err)
			}
			return
		}
		if !json.Valid(out) {
			t.Errorf("yamlToJSON(%q) = %s, which is not JSON", in, out)
		}
		var e *registry.Error
		if err := strictjson.Check(out); errors.As(err, &e) && e.Code == "too_deep" {
			t.Errorf("yamlToJSON(%q) is nested deeper than it may: %s", in, out)
		}
	})
}
