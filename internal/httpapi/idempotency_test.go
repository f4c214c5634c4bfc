package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAnIdempotencyKeyIsReadInBothSpellings(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("k", 255)
	for field, want := range map[string]string{
		`"8e03978e-40d5-43e8-bc93-6894a57f9324"`: "8e03978e-40d5-43e8-bc93-6894a57f9324",
		`8e03978e-40d5-43e8-bc93-6894a57f9324`:   "8e03978e-40d5-43e8-bc93-6894a57f9324",
		" \"a\"\t":                               "a",
		` a `:                                    "a",
		`"a\"b\\c"`:                              `a"b\c`,
		`!~`:                                     "!~",
		`"!~,;="`:                                "!~,;=",
		`a;b=c`:                                  "a;b=c",
		longest:                                  longest,
		`"` + longest + `"`:                      longest,
		`"` + strings.Repeat(`\"`, 255) + `"`:    strings.Repeat(`"`, 255),
	} {
		if got, err := idempotencyKey(&field); err != nil || got != want {
			t.Errorf("%s is read as %q, %v; want %q", field, got, err, want)
		}
	}
	if got, err := idempotencyKey(nil); err != nil || got != "" {
		t.Errorf("no key is read as %q, %v", got, err)
	}
}

// badKeys are values that are no idempotency key.
var badKeys = map[string]string{
	"empty":                     "",
	"blank":                     " ",
	"an empty string":           `""`,
	"256 characters":            strings.Repeat("k", 256),
	"256 characters quoted":     `"` + strings.Repeat("k", 256) + `"`,
	"256 after unquoting":       `"` + strings.Repeat(`\\`, 256) + `"`,
	"no end":                    `"a`,
	"only a quote":              `"`,
	"something behind":          `"a"b`,
	"a parameter":               `"a";b=1`,
	"two strings":               `"a", "b"`,
	"a quote in a bare one":     `a"b`,
	"a backslash in a bare one": `a\b`,
	"an escape of nothing":      `"a\n"`,
	"an escape at the end":      `"a\`,
	"a space":                   "a b",
	"a space in a string":       `"a b"`,
	"a control character":       "a\x01b",
	"DEL":                       "a\x7f",
	"not ASCII":                 "schlüssel",
	"not UTF-8":                 "a\xff",
}

func TestWhatIsNoIdempotencyKeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, field := range badKeys {
		got, err := idempotencyKey(&field)
		if e, ok := registry.AsError(err); !ok || e.Code != "invalid_idempotency_key" || !errors.Is(err, registry.Malformed) || got != "" {
			t.Errorf("%s: %q, %v; want invalid_idempotency_key", name, got, err)
		}
	}
}

func TestTwoIdempotencyKeysAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("a")}.request(t.Context())
	r.Header.Add("Idempotency-Key", `"a"`)
	r.Header.Add("Idempotency-Key", `"a"`)
	if w := recorded(f, r); w.Code != http.StatusBadRequest || w.Header().Get(echo.HeaderContentType) != "application/problem+json" {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestAFingerprintTellsWhatARequestMeans(t *testing.T) {
	t.Parallel()
	of := func(method, path, document string) string {
		t.Helper()
		got, err := fingerprint(method, path, []byte(document))
		if err != nil || len(got) != 64 {
			t.Fatalf("fingerprint(%s) = %q, %v", document, got, err)
		}
		return got
	}
	same := of("POST", "/agents", `{"a": 1, "b": {"c": [1, 2], "d": "<é>"}}`)
	for _, document := range []string{`{"b":{"d":"<é>","c":[1,2]},"a":1}`, ` {"a":1,"b":{"c":[1,2],"d":"\u003c\u00e9>"}} `} {
		if got := of("POST", "/agents", document); got != same {
			t.Errorf("%s is another request", document)
		}
	}
	for _, other := range []string{
		of("POST", "/agents", `{"a": 1.0, "b": {"c": [1, 2], "d": "<é>"}}`), // numbers count as they are written
		of("POST", "/agents", `{"a": 1, "b": {"c": [2, 1], "d": "<é>"}}`),
		of("POST", "/agents", `{"a": 1, "b": {"c": [1, 2], "d": null}}`),
		of("PUT", "/agents", `{"a": 1, "b": {"c": [1, 2], "d": "<é>"}}`),
		of("POST", "/agent", `{"a": 1, "b": {"c": [1, 2], "d": "<é>"}}`),
	} {
		if other == same {
			t.Error("another request has the same fingerprint")
		}
	}
	big := of("POST", "/agents", `{"a": 12345678901234567890}`)
	if big == of("POST", "/agents", `{"a": 12345678901234567891}`) {
		t.Error("numbers beyond a double's precision are not told apart")
	}
}
