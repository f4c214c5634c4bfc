package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// replica is another server on the same database, with settings as pairs of
// variable and value.
func (w *world) replica(settings ...string) *world {
	w.t.Helper()
	return w.replicaOf(must(program())(w.t), settings...)
}

func (w *world) replicaOf(path string, settings ...string) *world {
	w.t.Helper()
	other := *w
	other.env = maps.Clone(w.env)
	for i := 0; i+1 < len(settings); i += 2 {
		other.env[settings[i]] = settings[i+1]
	}
	other.server = serveProgram(w.t, path, other.env)
	eventually(w.t, "a replica that is ready", func() bool { return other.as("").get("/readyz").status == 200 })
	return &other
}

// bundleReader may read the bundles of all scopes.
func (w *world) bundleReader() caller {
	w.t.Helper()
	return w.as(w.token("test|bundles", []string{"bundles:read"}))
}

// TestInvariant_B1_ReplicasServeTheSameBytes: whatever changes through whichever
// replica, an ETag stands for one sequence of bytes on all of them.
func TestInvariant_B1_ReplicasServeTheSameBytes(t *testing.T) {
	t.Parallel()
	one := newRegistry(t)
	replicas := []*world{one, one.replica()}
	var mu sync.Mutex
	hashes, differ := map[string][32]byte{}, 0
	note := func(r response) {
		mu.Lock()
		defer mu.Unlock()
		hash, tag := sha256.Sum256(r.body), r.header.Get("ETag")
		if known, found := hashes[tag]; found && known != hash {
			differ++
		}
		hashes[tag] = hash
	}
	changed := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range replicas {
		reader := w.bundleReader()
		wg.Go(func() {
			for {
				select {
				case <-changed:
					return
				default:
					for _, scope := range []string{"production", "staging"} {
						note(reader.get("/bundles/"+scope).want(t, 200))
					}
				}
			}
		})
	}
	changeAtRandom(t, replicas, 40)
	close(changed)
	wg.Wait()
	if differ > 0 || len(hashes) < 10 {
		t.Errorf("%d of %d ETags stood for different bytes", differ, len(hashes))
	}
	wantEqual(t, replicas...)
}

// changeAtRandom makes n changes, each through any of the replicas.
func changeAtRandom(t testing.TB, replicas []*world, n int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(s ...string) string { return s[random.IntN(len(s))] }
	for range n {
		w := replicas[random.IntN(len(replicas))]
		name := fmt.Sprintf("random-%d", random.IntN(8))
		switch random.IntN(5) {
		case 0:
			w.as(w.developer).post("/agents", registration(name, map[string]any{"environment": pick("production", "staging")}))
		case 1:
			w.as(w.developer).delete("/agents/" + name)
		case 2:
			w.as(w.admin).put("/environments/staging", `{"allowed_endpoints": ["skills.example.com:443"], "grants": "`+pick("permissions", "explicit")+`"}`).want(t, 200)
		case 3:
			w.as(w.admin).delete("/resources/" + name)
		default:
			w.as(w.admin).put("/resources/"+name, resourceDocument(pick("skill", "tool"), pick(team, otherTeam), pick("team", "organization"), pick("production", "staging")))
		}
	}
}

// wantEqual waits until the replicas serve the same states, and compares bytes.
func wantEqual(t testing.TB, replicas ...*world) {
	t.Helper()
	for _, scope := range []string{"production", "staging"} {
		var bundles [2]response
		within(t, 2*time.Second, func() string { return fmt.Sprint("the replicas differ: ", bundles[0].header, bundles[1].header) }, func() bool {
			for i, w := range replicas {
				bundles[i] = w.bundleReader().get("/bundles/"+scope).want(t, 200)
			}
			return bundles[0].header.Get("ETag") == bundles[1].header.Get("ETag")
		})
		if !bytes.Equal(bundles[0].body, bundles[1].body) {
			t.Errorf("%s: %s stands for different bytes", scope, bundles[0].header.Get("ETag"))
		}
	}
}

// TestNoWriteIsLostBetweenReplicas: writers at two replicas that each read, add
// one and put with If-Match lose nothing.
func TestNoWriteIsLostBetweenReplicas(t *testing.T) {
	t.Parallel()
	one := newRegistry(t)
	const each = 15
	put := func(w *world, n int, match string) response {
		document := fmt.Sprintf(`{"type": "service", "team": "platform", "labels": {"count": "%d"}}`, n)
		return w.as(w.admin).with("If-Match", match).put("/resources/counter", document)
	}
	one.as(one.admin).put("/resources/counter", `{"type": "service", "team": "platform", "labels": {"count": "0"}}`).want(t, 201)
	count := func(w *world) (n int, tag string) {
		got := w.as(w.admin).get("/resources/counter").want(t, 200)
		var r api.Resource
		got.decode(t, &r)
		return must(strconv.Atoi(r.Labels["count"]))(t), got.header.Get("ETag")
	}
	var wg sync.WaitGroup
	for _, w := range []*world{one, one.replica()} {
		wg.Go(func() {
			for done := 0; done < each; {
				n, tag := count(w)
				switch got := put(w, n+1, tag); got.status {
				case 200:
					done++
				case 412:
				default:
					t.Errorf("PUT: %d %s", got.status, got.body)
					return
				}
			}
		})
	}
	wg.Wait()
	if n, _ := count(one); n != 2*each {
		t.Errorf("counted to %d, want %d", n, 2*each)
	}
}

// TestInvariant_B3_AReplicaThatFrozeNeverTakesAnOPABack: OPA asks two replicas in
// turn. One of them stops, misses a change, and wakes up without a database: what
// it knows is older than what OPA has, and OPA keeps that.
func TestInvariant_B3_AReplicaThatFrozeNeverTakesAnOPABack(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	way := newLink(t, w.dsn)
	late := w.replica("CREDENCE_DATABASE_URL_FILE", w.file("database-link", way.dsn), "CREDENCE_BUNDLE_HOLD", "300ms")
	t.Cleanup(func() { late.signal(syscall.SIGCONT) })
	r := newRecorder(t, w.api, late.api)
	opa := w.startOPA(r.URL)
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "hello-skill", "allow")

	way.freeze()
	late.signal(syscall.SIGSTOP)
	old := r.state()
	w.setVisibility("team")
	opa.becomesWithin(patience+2*time.Second, claims, "hello-skill", "platform/access_denied") // one poll may be at the frozen one
	current := r.state()
	late.signal(syscall.SIGCONT)

	before := len(r.polls())
	var kept []poll
	eventually(t, "answers of the one that is behind", func() bool {
		kept = nil
		for _, p := range r.polls()[before:] {
			if p.server == late.api && p.status != 502 {
				kept = append(kept, p)
			}
		}
		if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "platform/access_denied" {
			t.Fatalf("OPA was taken back from %s to %s: %s", current, r.state(), got)
		}
		return len(kept) >= 2
	})
	for _, p := range kept {
		if diff := cmp.Diff([]any{304, current, current}, []any{p.status, p.etag, p.ifNoneMatch}); diff != "" {
			t.Errorf("the one that is behind, at %s, answers (-want +got):\n%s", old, diff)
		}
	}
	if got := late.bundleReader().get("/bundles/production").want(t, 200).header.Get("ETag"); got != old {
		t.Errorf("the replica that should be behind at %s serves %s", old, got)
	}
	way.mend()
	wantEqual(t, w, late)
}
