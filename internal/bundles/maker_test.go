package bundles_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// Where there can be no bundle, neither is there a tag, and the error says why.
func TestWhereThereCanBeNoBundle(t *testing.T) {
	t.Parallel()
	in := func(layout int64) *snapshot.View {
		m := small()
		m.PutPolicy(inLayout(registrytest.Policy(1), layout))
		return snapshot.New(m.Facts())
	}
	m := registrytest.NewModel("e1")
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	without := snapshot.New(m.Facts())
	broken := openKeys(t, map[string][]byte{"production.pem": nil})
	const policyPart, agentsPart = registry.PolicyPart, "agents-0"
	tests := []struct {
		name  string
		view  *snapshot.View
		keys  *bundles.Keys
		of    registry.ScopePart
		codes string
		kind  registry.Kind
	}{
		{"another environment", in(3), nil, of("nowhere", ""), "not_found", registry.NotFound},
		{"a part of another environment", in(3), nil, of("nowhere", policyPart), "not_found", registry.NotFound},
		{"another part", in(3), nil, of("production", "agents-g"), "not_found", registry.NotFound},
		{"another part, while there are none", in(2), nil, of("production", "agents-g"), "not_found", registry.NotFound},
		{"no policy", without, nil, of("production", ""), "policy_missing", registry.Unavailable},
		{"a part without a policy", without, nil, of("production", policyPart), "policy_missing", registry.Unavailable},
		{"a policy of the future", in(4), nil, of("production", ""), "policy_unknown", registry.Unavailable},
		{"a part of the future", in(4), nil, of("production", agentsPart), "policy_unknown", registry.Unavailable},
		{"a policy of the past", in(1), nil, of("production", ""), "policy_unknown", registry.Unavailable},
		{"a part in a layout without", in(2), nil, of("production", agentsPart), "policy_unknown", registry.Unavailable},
		{"the parts' configuration in a layout without", in(2), nil, of("production", bundles.DiscoveryOfParts), "policy_unknown", registry.Unavailable},
		{"a key that cannot be used", in(3), broken, of("production", ""), unusable, registry.Unavailable},
		{"a configuration to be signed by one", in(3), broken, of("production", bundles.Discovery), unusable, registry.Unavailable},
		{"a scope with another key", in(3), broken, of("staging", ""), "", ""},
		{"the whole in the layout before", in(2), nil, of("production", ""), "", ""},
		{"a configuration, whatever the policy", without, nil, of("production", bundles.Discovery), "", ""},
		{"the parts' configuration in the future", in(4), nil, of("production", bundles.DiscoveryOfParts), "", ""},
	}
	for _, tt := range tests {
		maker := bundles.NewMaker(bundles.MakerOptions{Keys: tt.keys})
		_, tagErr := maker.Tag(tt.view, tt.of)
		_, err := maker.Bundle(tt.view, tt.of)
		if code(err) != tt.codes || code(tagErr) != tt.codes || (err == nil) != (tt.codes == "") {
			t.Errorf("%s: errors %v and %v, want %q", tt.name, err, tagErr, tt.codes)
		}
		if tt.kind != "" && !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v is no %s", tt.name, err, tt.kind)
		}
	}
}

// What was served is found by its digest for as long as it is among the last, of each
// bundle; and it still has its bytes.
func TestTheLastStatesAreKeptByDigest(t *testing.T) {
	t.Parallel()
	const keep = 4
	m := layered()
	maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keep: keep})
	names := []registry.ScopePart{of("production", ""), of("production", registry.ResourcesPart), of("staging", "")}
	states, contents := map[registry.ScopePart][]*bundles.Bundle{}, map[bundles.Digest]string{}
	for i := range 10 {
		m.PutResource(registry.ResourceFacts{Name: fmt.Sprintf("resource-%d", i)})
		v := snapshot.New(m.Facts())
		for _, name := range names {
			b := made(t, maker, v, name)
			if again := made(t, maker, v, name); again != b {
				t.Errorf("%s was made again", b.Tag)
			}
			states[name] = append(states[name], b)
			contents[b.Digest] = bytesOf(t, b)
		}
	}
	for _, name := range names {
		for i, b := range states[name] {
			found, ok := maker.Kept(name, b.Digest)
			if want := i >= len(states[name])-keep; ok != want {
				t.Errorf("%s, state %d of %d: kept = %t, want %t", name, i, len(states[name]), ok, want)
			} else if ok && (found != b || bytesOf(t, found) != contents[b.Digest]) {
				t.Errorf("%s is another than it was", b.Tag)
			}
		}
	}
	newest := states[names[0]][9].Digest
	for _, other := range []registry.ScopePart{names[1], names[2], of("nowhere", ""), of("production", "nothing")} {
		if b, ok := maker.Kept(other, newest); ok {
			t.Errorf("%s found %s", other, b.Tag)
		}
	}
	maker.Forget("production")
	if _, ok := maker.Kept(names[0], newest); ok {
		t.Error("found after its environment was forgotten")
	}
	if _, ok := maker.Kept(names[2], states[names[2]][9].Digest); !ok {
		t.Error("another environment was forgotten")
	}
}

// Views come from several goroutines, and not in their order.
func TestAMakerIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := layered()
	keys := signers(t)["EdDSA"]
	maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys})
	views := []*snapshot.View{snapshot.New(m.Facts())}
	for i := range 5 {
		next, err := views[i].Apply([]registry.Change{m.PutResource(registry.ResourceFacts{Name: fmt.Sprintf("resource-%d", i)})})
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, next)
	}
	var all ledger
	done := make(chan error)
	for i := range 8 {
		go func() {
			for j := range 60 {
				names := append(namesOf("production"), namesOf("staging")...)
				b, err := maker.Bundle(views[(i+j)%len(views)], names[(i*7+j)%len(names)])
				if err == nil {
					err = all.enter(b.Tag.String(), b.Digest.String())
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	v := views[len(views)-1]
	for _, name := range append(namesOf("production"), namesOf("staging")...) {
		scratch := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys}), v, name)
		if diff := cmp.Diff(scratch.Digest.String(), made(t, maker, v, name).Digest.String()); diff != "" {
			t.Errorf("%s: (-from scratch +after all that):\n%s", name, diff)
		}
	}
}
