package bundles

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"math"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
	"pgregory.net/rapid"
)

// OPA parses a document and hashes it with its keys sorted. What we write must
// have the hash of its bytes, and say what encoding/json says.
func TestOPAHashesADocumentAsItIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := anyDocument(3).Draw(t, "document")
		got, err := canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		expectCanonical(t, got)
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(t, want, got) {
			t.Fatalf("canonical() = %s, want what %s says", got, want)
		}
	})
}

// fields is a document whose fields are in another order than their names.
type fields struct {
	Z int64           `json:"z"`
	A string          `json:"a"`
	M map[string]any  `json:"m"`
	L []any           `json:"l"`
	R json.RawMessage `json:"<r>"`
	B *fields         `json:"b,omitempty"`
}

func anyDocument(depth int) *rapid.Generator[any] {
	word := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "aa", "b", `"`, `\`, "<&>", "\u2028", "é", "\x00\b\f\n\x7f", "a\xffb", "\U0001f600", "!"}), rapid.String())
	number := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, math.MinInt64, math.MaxInt64, 1770087906000000001}))
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return number.Draw(t, "number")
		case 3:
			return word.Draw(t, "text")
		case 4:
			return rapid.SliceOfN(anyDocument(depth-1), 0, 4).Draw(t, "list")
		}
		m := rapid.MapOfN(word, anyDocument(depth-1), 0, 5).Draw(t, "map")
		if rapid.Bool().Draw(t, "struct") {
			return fields{Z: number.Draw(t, "z"), A: word.Draw(t, "a"), M: m, R: json.RawMessage(` { "b" : 1, "a":[ 1 ] } `), B: &fields{R: json.RawMessage("1")}}
		}
		return m
	})
}

// expectCanonical says that the hash of the bytes is the one that OPA takes of
// what they say.
func expectCanonical(t fatal, content []byte) {
	t.Helper()
	var parsed any
	if err := util.Unmarshal(content, &parsed); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hasher.HashFile(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256.Sum256(content); !bytes.Equal(want, got[:]) {
		t.Fatalf("OPA has another hash of %s", content)
	}
}

func sameJSON(t fatal, a, b []byte) bool {
	t.Helper()
	var decoded [2]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&decoded[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	again := [2][]byte{}
	for i, v := range decoded {
		var err error
		if again[i], err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Equal(again[0], again[1])
}

// fatal is what a test and a rapid test have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
