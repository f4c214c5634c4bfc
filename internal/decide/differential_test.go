package decide_test

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/policy"
)

var (
	cases = flag.Int("cases", usualCases, "how many random questions to ask both the Rego and the Go")
	seed  = flag.Uint64("seed", 0, "of the random questions; 0: another each time")
)

// asked is how many questions each random registry is asked.
const asked = 500

// Property: the Go answers what OPA answers that runs the Rego over the bundle's
// data, for any registry, layers, token and time, in both versions of the policy.
func TestDecisionIsThatOfTheRego(t *testing.T) {
	t.Parallel()
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	t.Logf("seed %d, %d cases", start, *cases)
	policies := []active{parsed(t, platform()), parsed(t, platform()), parsed(t, previous(t))} // of tiers twice as many
	var allowed, total int
	for stream := uint64(0); total < *cases && !t.Failed(); stream++ {
		d := diceOf(start, stream)
		w := newWorld(t, policies[stream%3], d, stream%16 == 0)
		for range min(asked, *cases-total) {
			total++
			if w.compare(t, d, start, stream) {
				allowed++
			}
		}
	}
	t.Logf("%d of %d were allowed", allowed, total)
	if enough := total >= 50_000; enough && (allowed < total/50 || allowed > total/2) {
		t.Errorf("%d of %d were allowed: too few of one kind to tell anything", allowed, total)
	}
}

// platform is the policy that this binary carries, as it is when it is active.
func platform() registry.PlatformPolicy {
	p := policy.Platform()
	p.Revision = 1
	return p
}

// previous is the policy of the version before.
func previous(tb testing.TB) registry.PlatformPolicy {
	tb.Helper()
	paths, err := filepath.Glob("../../policy/testdata/v2/*.rego")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("the modules of version 2: %v, %v", paths, err)
	}
	p := registry.PlatformPolicy{Version: 2, Layout: 2, Revision: 1, Modules: map[string]string{}}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		p.Modules[filepath.Base(path)] = string(source)
	}
	p.Hash = policy.Hash(p.Modules)
	return p
}

// world is a registry that both sides decide on, asked about one environment.
type world struct {
	view        *snapshot.View
	environment string
	decider     *decide.Decider
	opa         opa
}

// newWorld makes a random registry. Of some the OPA has the bundle itself, as it is
// served; of the others the same modules and data, made at less expense.
func newWorld(tb testing.TB, p active, d dice, served bool) world {
	tb.Helper()
	v := snapshot.New(facts(d, p.PlatformPolicy))
	cache := layers.NewCache(accept, slog.New(slog.DiscardHandler))
	w := world{view: v, environment: pick(d, "production", "production", "staging"), decider: decide.New(cache)}
	if served {
		w.opa = serve(tb, v, cache, w.environment)
	} else {
		w.opa = newOPA(tb, v, p, cache, w.environment)
	}
	return w
}

// compare asks both sides a random question, and reports whether it was allowed.
func (w world) compare(t *testing.T, d dice, seed, stream uint64) bool {
	t.Helper()
	now := moment(d)
	q := query(d, w.view, w.environment, now)
	want := w.opa.ask(t, inputOf(t, q), now)
	got, err := w.decider.Decide(w.view, w.environment, q, now)
	if err != nil {
		t.Errorf("seed %d, stream %d: decide %+v: %v", seed, stream, q, err)
		return false
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seed %d, stream %d, layout %d, at %s: %+v (-Rego +Go):\n%s", seed, stream, w.view.Policy().Layout, now, q, diff)
	}
	w.compareExplained(t, q, got, now)
	return got.Allow
}

// compareExplained holds what is told of the question to the decision, and to what the
// Rego tells of the layers where it is asked.
func (w world) compareExplained(t *testing.T, q decide.Query, decided decide.Decision, now time.Time) {
	t.Helper()
	if w.opa.contributions == nil {
		return
	}
	trace, err := w.decider.Explain(w.view, w.environment, q, now, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decided, trace.Decision); diff != "" {
		t.Errorf("at %s: %+v (-decided +explained):\n%s", now, q, diff)
	}
	want := w.opa.tell(t, inputOf(t, q), now)
	if diff := cmp.Diff(want, toldOf(trace)); diff != "" {
		t.Errorf("at %s: %+v (-Rego +Go):\n%s", now, q, diff)
	}
}

// toldOf are the layers' contributions as the Rego tells them.
func toldOf(trace decide.Trace) []any {
	told := []any{}
	for _, c := range trace.Layers {
		codes := map[registry.Effect][]string{registry.Deny: slices.Clone(c.Deny), registry.Allow: slices.Clone(c.Allow)}
		for i, r := range c.Layer.Rules {
			switch {
			case !c.Matched[i]:
			case r.Effect == registry.Allow:
				codes[registry.Allow] = append(codes[registry.Allow], r.Code)
			case decide.IsCode(r.Code):
				codes[registry.Deny] = append(codes[registry.Deny], r.Code)
			default:
				codes[registry.Deny] = append(codes[registry.Deny], "invalid_code")
			}
		}
		told = append(told, map[string]any{
			"tier": string(c.Layer.Tier), "id": c.Layer.ID, "deny": asSet(codes[registry.Deny]), "allow": asSet(codes[registry.Allow]),
			"missing": c.Missing, "above_ceiling": c.AboveCeiling,
		})
	}
	return told
}

// asSet lists each once, sorted.
func asSet(all []string) []any {
	slices.Sort(all)
	set := []any{}
	for _, s := range slices.Compact(all) {
		set = append(set, s)
	}
	return set
}
