package bundles_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const signatures = ".signatures.json"

// verified reads a bundle as an OPA does that has the key and expects the bundle of
// that name.
func verified(t fatal, r io.Reader, key *bundles.Key, name string) error {
	t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]*bundle.KeyConfig{key.KeyID(): {Algorithm: key.Algorithm(), Key: public}}
	_, err = bundle.NewReader(r).WithBundleVerificationConfig(bundle.NewVerificationConfig(keys, key.KeyID(), name, nil)).Read()
	return err
}

func parseKey(t fatal, text []byte) *bundles.Key {
	t.Helper()
	k, err := bundles.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// OPA takes every bundle as what it is, and none as another: no part can stand in for
// another part or for the whole, and no environment's for another's.
func TestOPAVerifiesEachBundleAsItselfAlone(t *testing.T) {
	t.Parallel()
	v := snapshot.New(layered().Facts())
	for algorithm, text := range map[string][]byte{"RS256": rsaKey(), "EdDSA": edKey()} {
		key := parseKey(t, text)
		if key.Algorithm() != algorithm {
			t.Errorf("algorithm = %s, want %s", key.Algorithm(), algorithm)
		}
		maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: openKeys(t, map[string][]byte{"default.pem": text})})
		names := append(namesOf("production"), namesOf("staging")...)
		for _, name := range names {
			b := made(t, maker, v, name)
			for _, as := range names {
				switch err := verified(t, b.Reader(), key, as.String()); {
				case name == as && err != nil:
					t.Errorf("%s: %s: %v", algorithm, name, err)
				case name != as && err == nil:
					t.Errorf("%s: %s was taken for %s", algorithm, name, as)
				}
			}
		}
	}
}

// Whatever somebody on the way changes of a bundle, OPA refuses.
func TestOPARefusesWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	v := snapshot.New(layered().Facts())
	keys, key := openKeys(t, map[string][]byte{"default.pem": edKey()}), parseKey(t, edKey())
	b := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys}), v, of("production", ""))
	unsigned := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting()}), v, of("production", ""))
	if err := verified(t, unsigned.Reader(), key, "production"); err == nil {
		t.Error("unsigned: OPA takes it")
	}
	if err := verified(t, b.Reader(), parseKey(t, otherEdKey()), "production"); err == nil {
		t.Error("signed by another key: OPA takes it")
	}
	whole := files(t, b)
	if err := verified(t, packed(t, whole), key, "production"); err != nil {
		t.Errorf("untouched: %v; the test says nothing", err)
	}
	changes := map[string]func(map[string]string){
		"without its signature":       func(f map[string]string) { delete(f, signatures) },
		"with another module":         func(f map[string]string) { f["more.rego"] = "package mcp.more\n" },
		"with more data":              func(f map[string]string) { f["registry/more/data.json"] = "{}" },
		"with a signature of nothing": func(f map[string]string) { f[signatures] = `{"signatures":[]}` },
	}
	for path := range whole {
		if path == signatures {
			continue
		}
		changes["without "+path] = func(f map[string]string) { delete(f, path) }
		changes["another "+path] = func(f map[string]string) { f[path] = strings.Replace(f[path], "e", "x", 1) }
	}
	for name, change := range changes {
		changed := maps.Clone(whole)
		change(changed)
		if maps.Equal(changed, whole) {
			t.Errorf("%s: nothing was changed", name)
		}
		if err := verified(t, packed(t, changed), key, "production"); err == nil {
			t.Errorf("%s: OPA takes it", name)
		}
	}
}

// No byte of the archive can be another.
func TestOPARefusesABundleWithAnotherByte(t *testing.T) {
	t.Parallel()
	keys, key := openKeys(t, map[string][]byte{"default.pem": edKey()}), parseKey(t, edKey())
	b := made(t, bundles.NewMaker(bundles.MakerOptions{Keys: keys}), snapshot.New(small().Facts()), of("production", ""))
	whole := files(t, b)
	paths := slices.Sorted(maps.Keys(whole))
	rapid.Check(t, func(t *rapid.T) {
		changed, path := maps.Clone(whole), rapid.SampledFrom(paths).Draw(t, "file")
		content := []byte(changed[path])
		content[rapid.IntRange(0, len(content)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		changed[path] = string(content)
		if verified(t, packed(t, changed), key, "production") == nil && !sameMeaning(changed[path], whole[path]) {
			t.Fatalf("OPA takes %s", content)
		}
	})
}

// sameMeaning reports whether two files are the same JSON, of which OPA compares what
// it says.
func sameMeaning(a, b string) bool {
	var decoded [2]any
	for i, text := range []string{a, b} {
		if json.Unmarshal([]byte(text), &decoded[i]) != nil {
			return false
		}
	}
	again := [2][]byte{}
	for i, v := range decoded {
		again[i], _ = json.Marshal(v) //nolint:errchkjson // it was just decoded
	}
	return bytes.Equal(again[0], again[1])
}

// Whatever users write, it verifies: what OPA makes of a document has the hash that we
// took of its bytes.
func TestEverythingThatIsWrittenVerifies(t *testing.T) {
	t.Parallel()
	keys, key := openKeys(t, map[string][]byte{"default.pem": edKey()}), parseKey(t, edKey())
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"<&>", "\u2028\u2029", "\x00\x1f\x7f", "\xff", `"\`, "\U0001f600"}))
		labels := rapid.MapOfN(text, text, 0, 4)
		m := small()
		m.PutAgent(registry.AgentFacts{
			ID: "0197c000-0000-7000-8000-000000000009", Name: "x", Environment: "production", Subject: text.Draw(t, "subject"), Team: text.Draw(t, "team"), Labels: labels.Draw(t, "labels"),
		})
		m.PutResource(registry.ResourceFacts{Name: text.Draw(t, "resource"), Labels: labels.Draw(t, "more labels")})
		m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: text.Draw(t, "layer")}, Rules: []registry.Rule{
			{Code: text.Draw(t, "code"), When: registry.Conditions{Resources: rapid.SliceOf(text).Draw(t, "resources")}},
		}})
		b := made(t, bundles.NewMaker(bundles.MakerOptions{Keys: keys}), snapshot.New(m.Facts()), of("production", ""))
		if err := verified(t, b.Reader(), key, "production"); err != nil {
			t.Fatal(err)
		}
	})
}

// packed is a bundle of these files, as any tar would make it.
func packed(t fatal, files map[string]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o600, Size: int64(len(files[path]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[path]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// A new key is another tag at the same revision, of every bundle of the scopes that
// it signs and of no other.
func TestANewKeyIsAnotherTag(t *testing.T) {
	t.Parallel()
	dir := keyDir(t, map[string][]byte{"default.pem": edKey()})
	keys, _ := open(t, dir)
	v := snapshot.New(layered().Facts())
	maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys})
	before := map[registry.ScopePart]*bundles.Bundle{}
	names := append(namesOf("production"), namesOf("staging")...)
	for _, name := range names {
		before[name] = made(t, maker, v, name)
	}
	write(t, dir, "production.pem", otherEdKey())
	keys.Reload(t.Context())
	for _, name := range names {
		was, is := before[name], made(t, maker, v, name)
		if name.Scope == "staging" {
			if is != was {
				t.Errorf("%s: another bundle, though its key is the same", name)
			}
			continue
		}
		if is.Tag.Revision != was.Tag.Revision || is.Tag.Hash == was.Tag.Hash {
			t.Errorf("%s after %s; want another hash", is.Tag, was.Tag)
		}
		if err := verified(t, is.Reader(), parseKey(t, otherEdKey()), name.String()); err != nil {
			t.Error(err)
		}
	}
}
