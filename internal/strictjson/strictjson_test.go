package strictjson_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

func TestCheckAcceptsWhatIsInteroperable(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"scalars":                  `[true, false, null, "", 0, -0, 1.5, -2e-3, 1E+2]`,
		"empty containers":         "\t{ \"a\" : [ ] , \"b\" : { } }\r\n",
		"escapes":                  `"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`,
		"characters of all widths": `"aé€😀"`,
		"the largest double":       `1.7976931348623157e308`,
		"309 digits":               "1" + strings.Repeat("0", 308),
		"the smallest exponent":    `1e-308`,
		"nesting of 64":            strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"one key in two objects":   `[{"a":1},{"a":{"a":1}},{"a":1}]`,
		"a key within and after":   `{"a":{"b":{"c":1}},"b":2,"c":3}`,
		"many keys":                manyKeys(1000, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := strictjson.Check([]byte(data)); err != nil {
				t.Errorf("Check = %v, want nil", err)
			}
		})
	}
}

// manyKeys is an object of n keys, with more behind them.
func manyKeys(n int, more string) string {
	members := make([]string, n)
	for i := range members {
		members[i] = `"k` + strconv.Itoa(i) + `":` + strconv.Itoa(i)
	}
	return "{" + strings.Join(members, ",") + more + "}"
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		data    string
		kind    registry.Kind
		code    string
		pointer string // "-" for a fault without a place
		message string
	}{
		{"nothing", ``, registry.Malformed, "invalid_json", "-", "line 1, column 1: the body is empty"},
		{"blanks", " \n ", registry.Malformed, "invalid_json", "-", "line 2, column 2: the body is empty"},
		{"an open object", `{"a": 1`, registry.Malformed, "invalid_json", "-", "ends where a comma or } should be"},
		{"an open array", `[1`, registry.Malformed, "invalid_json", "-", "ends where a comma or ] should be"},
		{"an open string", `"a`, registry.Malformed, "invalid_json", "-", "the string has no end"},
		{"a closer of the other kind", `[1}`, registry.Malformed, "invalid_json", "-", "line 1, column 3: expected a comma or ]"},
		{"a comma before the end", `[1,]`, registry.Malformed, "invalid_json", "-", "expected a value"},
		{"a comma before the brace", `{"a":1,}`, registry.Malformed, "invalid_json", "-", "expected a key"},
		{"a bare key", `{a:1}`, registry.Malformed, "invalid_json", "-", "expected a key in double quotes"},
		{"no colon", `{"a" 1}`, registry.Malformed, "invalid_json", "-", "expected a colon"},
		{"single quotes", `'a'`, registry.Malformed, "invalid_json", "-", "expected a value"},
		{"a comment", "// a\n1", registry.Malformed, "invalid_json", "-", "expected a value"},
		{"NaN", `NaN`, registry.Malformed, "invalid_json", "-", "expected a value"},
		{"a word cut short", `[tru]`, registry.Malformed, "invalid_json", "-", "expected true"},
		{"a leading zero", `[01]`, registry.Malformed, "invalid_json", "-", "expected a comma"},
		{"a leading plus", `+1`, registry.Malformed, "invalid_json", "-", "expected a value"},
		{"a leading point", `.5`, registry.Malformed, "invalid_json", "-", "expected a value"},
		{"nothing after the point", `1.`, registry.Malformed, "invalid_json", "-", "a digit"},
		{"nothing after the e", `1e+`, registry.Malformed, "invalid_json", "-", "a digit"},
		{"a minus alone", `-`, registry.Malformed, "invalid_json", "-", "a digit"},
		{"a byte order mark", "\ufeff{}", registry.Malformed, "invalid_json", "-", "expected a value"},
		{"a newline in a string", "\"a\nb\"", registry.Malformed, "invalid_json", "-", "control character"},
		{"NUL in a string", "\"a\x00b\"", registry.Malformed, "invalid_json", "-", "control character"},
		{"NUL between tokens", "[\x00]", registry.Malformed, "invalid_json", "-", "expected a value"},
		{"an unknown escape", `"\x41"`, registry.Malformed, "invalid_json", "-", "none of JSON's"},
		{"three hexadecimal digits", `"\u041"`, registry.Malformed, "invalid_json", "-", "four hexadecimal digits"},
		{"columns count characters", "{\"é\": 1,\n \"€\" 1}", registry.Malformed, "invalid_json", "-", "line 2, column 6: expected a colon"},

		{"half a character", "\"\xe2\x82\"", registry.Malformed, "invalid_utf8", "-", "line 1, column 2"},
		{"an overlong slash", "\"\xc0\xaf\"", registry.Malformed, "invalid_utf8", "-", "not UTF-8"},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", registry.Malformed, "invalid_utf8", "-", "not UTF-8"},
		{"Latin-1 in a key", "{\"\xe9\":1}", registry.Malformed, "invalid_utf8", "-", "not UTF-8"},

		{"a second value", `{} {}`, registry.Malformed, "trailing_data", "-", "line 1, column 4"},
		{"a closer too many", `[]]`, registry.Malformed, "trailing_data", "-", "goes on"},

		{"nesting of 65", strings.Repeat("[", 65) + strings.Repeat("]", 65), registry.Malformed, "too_deep", strings.Repeat("/0", 64), "more than 64 deep"},
		{"nesting without an end", strings.Repeat(`{"a":`, 100_000), registry.Malformed, "too_deep", strings.Repeat("/a", 64), "more than 64 deep"},

		{"a key twice", `{"a":1,"b":2,"a":3}`, registry.Malformed, "duplicate_key", "/a", "line 1, column 17"},
		{"a key twice, once escaped", `{"a":1,"\u0061":3}`, registry.Malformed, "duplicate_key", "/a", "twice"},
		{"a key twice as a pair", `{"😀":1,"\ud83d\ude00":3}`, registry.Malformed, "duplicate_key", "/😀", "twice"},
		{"a key twice, deep", `{"x/~":[0,{"":1,"":2}]}`, registry.Malformed, "duplicate_key", "/x~1~0/1/", "twice"},
		{"a key twice among many", manyKeys(1000, `,"k\u0037":0`), registry.Malformed, "duplicate_key", "/k7", "twice"},
		{"the 17th key twice", manyKeys(17, `,"k16":0`), registry.Malformed, "duplicate_key", "/k16", "twice"},
		{"keys that differ in case only are two", `{"a":1,"A":2,"a":3}`, registry.Malformed, "duplicate_key", "/a", "column 17"},

		{"the number that breaks libraries", `{"n":[0,1e9999999]}`, registry.Invalid, "number_out_of_range", "/n/1", "exponent beyond 308"},
		{"its negative", `-1e9999999`, registry.Invalid, "number_out_of_range", "", "exponent"},
		{"its inverse", `1e-9999999`, registry.Invalid, "number_out_of_range", "", "exponent"},
		{"an exponent that overflows int", `0e99999999999999999999`, registry.Invalid, "number_out_of_range", "", "exponent"},
		{"an exponent that wraps around to 0", `1e18446744073709551616`, registry.Invalid, "number_out_of_range", "", "exponent"},
		{"309", `1e309`, registry.Invalid, "number_out_of_range", "", "exponent"},
		{"a mantissa that overflows", `10e308`, registry.Invalid, "number_out_of_range", "", "too large"},
		{"310 digits", "1" + strings.Repeat("0", 309), registry.Invalid, "number_out_of_range", "", "too large"},
		{"a thousand digits", "0." + strings.Repeat("1", 1023), registry.Invalid, "number_out_of_range", "", "too long"},

		{"NUL, escaped", `{"a":"x\u0000"}`, registry.Invalid, "invalid_string", "/a", "U+0000"},
		{"NUL, escaped, in a key", `{"b":{"a":1,"\u0000":2}}`, registry.Invalid, "invalid_string", "/b", "U+0000"},
		{"a high surrogate alone", `["\ud83d"]`, registry.Invalid, "invalid_string", "/0", "surrogate"},
		{"a low surrogate alone", `["\ude00"]`, registry.Invalid, "invalid_string", "/0", "surrogate"},
		{"two high surrogates", `["\ud83d\ud83d"]`, registry.Invalid, "invalid_string", "/0", "surrogate"},
		{"a high surrogate, then text", `["\ud83d\n0000"]`, registry.Invalid, "invalid_string", "/0", "surrogate"},
		{"a pair the wrong way round", `["\ude00\ud83d"]`, registry.Invalid, "invalid_string", "/0", "surrogate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := strictjson.Check([]byte(tt.data))
			got, ok := registry.AsError(err)
			if !ok {
				t.Fatalf("Check = %v, want a registry error", err)
			}
			if !strings.Contains(got.Message, tt.message) {
				t.Errorf("message %q does not contain %q", got.Message, tt.message)
			}
			want := &registry.Error{Kind: tt.kind, Code: tt.code}
			if tt.pointer != "-" {
				want.Fields = []registry.FieldError{{Pointer: tt.pointer, Code: tt.code}}
			}
			ignore := cmp.Options{
				cmpopts.IgnoreFields(registry.Error{}, "Message"),
				cmpopts.IgnoreFields(registry.FieldError{}, "Detail"),
			}
			if diff := cmp.Diff(want, got, ignore); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPointersStayShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 1<<16)
	err := strictjson.Check([]byte(`{"a":{"` + long + `":1e309}}`))
	got, ok := registry.AsError(err)
	if !ok || len(got.Fields) != 1 || got.Fields[0].Pointer != "/a" {
		t.Errorf("Check = %+v, want one fault at /a", got)
	}
}

func TestReadBoundsTheBody(t *testing.T) {
	t.Parallel()
	const limit = 16
	body := `"` + strings.Repeat("a", limit-2) + `"`
	got, err := strictjson.Read(strings.NewReader(body), limit)
	if err != nil || string(got) != body {
		t.Errorf("Read of exactly the limit = %q, %v; want the body", got, err)
	}
	for name, body := range map[string]string{
		"one byte more":           body + " ",
		"more, and not even JSON": strings.Repeat("x", limit+1),
	} {
		_, err := strictjson.Read(strings.NewReader(body), limit)
		if e, ok := registry.AsError(err); !ok || e.Kind != registry.TooLarge || e.Code != "body_too_large" {
			t.Errorf("%s: Read = %v, want body_too_large", name, err)
		}
	}
}

func TestReadTellsAnEndlessBodyFromABrokenOne(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection reset")
	_, err := strictjson.Read(iotest.ErrReader(cause), 16)
	e, ok := registry.AsError(err)
	if !ok || e.Kind != registry.Malformed || e.Code != "unreadable_body" || !errors.Is(err, cause) {
		t.Errorf("Read = %v, want unreadable_body caused by %v", err, cause)
	}
	if strings.Contains(e.Message, cause.Error()) {
		t.Errorf("message %q shows the cause", e.Message)
	}
}

func TestContentType(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header string
		also   []string
		ok     bool
	}{
		{"application/json", nil, true},
		{"Application/JSON; Charset=UTF-8", nil, true},
		{`application/json; charset="utf-8"`, nil, true},
		{"application/merge-patch+json", []string{strictjson.MergePatch}, true},
		{"application/merge-patch+json", nil, false},
		{"application/json; charset=latin1", nil, false},
		{"application/json; profile=x", nil, false},
		{"application/json;", nil, true},
		{"application/jsonp", nil, false},
		{"text/json", nil, false},
		{"application/json, text/plain", nil, false},
		{"", nil, false},
		{";", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			t.Parallel()
			err := strictjson.ContentType(tt.header, tt.also...)
			if tt.ok && err != nil {
				t.Errorf("ContentType = %v, want nil", err)
			}
			if !tt.ok && !errors.Is(err, registry.UnsupportedMedia) {
				t.Errorf("ContentType = %v, want UnsupportedMedia", err)
			}
		})
	}
}
