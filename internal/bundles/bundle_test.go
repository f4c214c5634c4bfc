package bundles_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// The hash tells what the revision does not: other modules in the bundle, another
// layout, another key. The revision says where it came.
func TestInvariant_B1_TheHashCoversWhatTheRevisionDoesNotTell(t *testing.T) {
	t.Parallel()
	refusing := layers.NewCache(func(registry.LayerKey, string) (*ast.Module, error) { return nil, errors.New("refused") }, slog.New(slog.DiscardHandler))
	with := func(o bundles.MakerOptions, policy int64, layout int64) func(part string) string {
		m := layered()
		m.PutPolicy(inLayout(registrytest.Policy(policy), layout))
		v := snapshot.New(m.Facts())
		return func(part string) string { return made(t, bundles.NewMaker(o), v, of("production", part)).Tag.Hash }
	}
	keys := signers(t)
	plain := with(bundles.MakerOptions{Layers: accepting()}, 1, 3)
	all, modules := append([]string{""}, registry.Parts...), []string{"", registry.PolicyPart}
	for name, tt := range map[string]struct {
		hash  func(part string) string
		other []string // parts whose hash is another
	}{
		"the same":          {with(bundles.MakerOptions{Layers: accepting()}, 1, 3), nil},
		"other Rego":        {with(bundles.MakerOptions{Layers: accepting()}, 2, 3), modules},
		"layers' refused":   {with(bundles.MakerOptions{Layers: refusing}, 1, 3), modules},
		"signed by RS256":   {with(bundles.MakerOptions{Layers: accepting(), Keys: keys["RS256"]}, 1, 3), all},
		"signed by EdDSA":   {with(bundles.MakerOptions{Layers: accepting(), Keys: keys["EdDSA"]}, 1, 3), all},
		"an earlier layout": {with(bundles.MakerOptions{Layers: accepting()}, 1, 2), []string{""}},
	} {
		var other []string
		for _, part := range all {
			if name == "an earlier layout" && part != "" {
				continue // which has no parts
			}
			if tt.hash(part) != plain(part) {
				other = append(other, part)
			}
		}
		if diff := cmp.Diff(tt.other, other); diff != "" {
			t.Errorf("%s: other hashes of (-want +got):\n%s", name, diff)
		}
	}
	if with(bundles.MakerOptions{}, 1, 2)("") == with(bundles.MakerOptions{}, 1, 3)("") {
		t.Error("the layout is not in the hash")
	}
	m := layered()
	maker := bundles.NewMaker(bundles.MakerOptions{})
	before := made(t, maker, snapshot.New(m.Facts()), of("production", "")).Tag
	m.PutPolicy(registrytest.Policy(2))
	m.PutPolicy(registrytest.Policy(1))
	if again := made(t, maker, snapshot.New(m.Facts()), of("production", "")).Tag; again.Hash != before.Hash || again.Revision != m.Head().Revision {
		t.Errorf("the first Rego again: %s after %s; a rollback is a state of its own", again, before)
	}
}

func TestTagsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := bundles.Tag{
			Part:     rapid.SampledFrom(append([]string{"", bundles.Discovery, bundles.DiscoveryOfParts}, registry.Parts...)).Draw(t, "part"),
			Scope:    rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Filter(registry.ValidName).Draw(t, "scope"),
			Epoch:    rapid.StringMatching(`[0-9a-f]{16}`).Draw(t, "epoch"),
			Revision: rapid.Int64Min(0).Draw(t, "revision"),
			Hash:     rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "hash"),
		}
		if got, ok := bundles.ParseTag(want.String()); !ok || got != want {
			t.Fatalf("ParseTag(%s) = %v, %t", want, got, ok)
		}
	})
}

// What follows the revision is a hash: a caller's own text would come back in the
// ETag and stand in the log.
func TestATagWithoutAHashIsNobodysState(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{"", "abcdef0", "abcdef012", "ABCDEF01", "abcdefg1", "<script>", strings.Repeat("a", 9000)} {
		if tag, ok := bundles.ParseTag("production.e1.7." + hash); ok {
			t.Errorf("ParseTag() = %v", tag)
		}
	}
}

// A tag that we never made is nobody's state. Only the form that we write counts.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{
		"production.e1.7.abcdef01", "", "...", "production.e1.-1.a", "production.e1.+7.a", "production.e1.07.a", "production.e1.7", "../a.e1.7.a",
		"production.e1.9223372036854775808.a", "production.e1.7.a.b", "Production.e1.7.a", "production.e1.1_0.a", "production..7.a",
		"production/policy.e1.7.abcdef01", "production/agents-f.e1.7.abcdef01", "production/.e1.7.abcdef01", "production/agents-g.e1.7.abcdef01",
		"production/policy/.e1.7.abcdef01", "/policy.e1.7.abcdef01", "production/discovery.e1.0.abcdef01", "production/Policy.e1.7.abcdef01",
		"production.e1.7.ABCDEF01", "production.e1.7.abcdef012", "production.e1.7.\u00e9\u00e9\u00e9\u00e9",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tag, ok := bundles.ParseTag(s); ok && (tag.String() != s || tag.Revision < 0) {
			t.Errorf("ParseTag(%q) = %+v, which is %q", s, tag, tag)
		} else if ok && (!registry.ValidName(tag.Scope) || !slices.Contains(namesOf(tag.Scope), tag.Name())) {
			t.Errorf("ParseTag(%q) names a bundle that there is not", s)
		}
	})
}
