package strictjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/strictjson"
)

// FuzzCheck holds Check to encoding/json: it never panics, accepts nothing that
// encoding/json refuses, and loses no key of what it accepts.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00"],"b":{}}`,
		`{"a":1,"\u0061":2}`, `{"a":{"a":{"a":[[[]]]}}}`, `[01]`, `1e309`, `10e308`, `[1e9999999]`,
		`"\ud83d"`, `"\u0000"`, `{} {}`, "\"\xff\"", "\ufeff1", ``, ` `, `-`, `[,]`, `{"a"}`, `"\`, `"\u12`, "[\x00]",
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":[{}],"g":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strictjson.Check(data) != nil {
			return
		}
		if !utf8.Valid(data) {
			t.Fatal("accepted what is not UTF-8")
		}
		var plain any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		var want any
		if err := decode(data, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		again, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := strictjson.Check(again); err != nil {
			t.Fatalf("refused its own value when written by encoding/json: %v", err)
		}
		var got any
		if err := decode(again, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("value changed (-want +got):\n%s", diff)
		}
		if n, m := members(t, data), count(want); n != m {
			t.Errorf("text has %d members, encoding/json keeps %d", n, m)
		}
	})
}

func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}

// members counts the members of all objects in the text, duplicates too.
func members(t *testing.T, data []byte) int {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n := 0
	var tokens []int // in each open container
	for {
		token, err := d.Token()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			if delim == '}' {
				n += tokens[len(tokens)-1] / 2
			}
			tokens = tokens[:len(tokens)-1]
			continue
		}
		if len(tokens) > 0 {
			tokens[len(tokens)-1]++
		}
		if delim != 0 {
			tokens = append(tokens, 0)
		}
	}
}

func count(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, member := range v {
			n += count(member)
		}
	case []any:
		for _, item := range v {
			n += count(item)
		}
	}
	return n
}
