package feed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// A follower behind a balancer of replicas that lag, die and start anew, over a
// network that spoils answers, while the registry changes: each state that it ever
// shows is one that the registry was in, and once all is well it shows the present
// one.
func TestInvariant_B5_AFollowerEndsEqualToTheSnapshot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.IntRange(0, 1<<30), 5, 40).Draw(rt, "script")
		var w *world
		synctest.Test(t, func(*testing.T) {
			w = newWorld(script[0])
			for _, step := range script {
				w.step(step)
			}
			w.end()
		})
		if err := errors.Join(w.faults...); err != nil {
			rt.Fatal(err)
		}
	})
}

// world is a registry, its replicas, and a follower that is held against it.
type world struct {
	m        *registrytest.Memory
	net      *network
	rand     *rand.Rand // of the script, one step at a time
	follower *snapshot.Follower
	stop     func()
	epochs   int

	mu     sync.Mutex
	was    map[registry.Head]registry.Facts // each state that the registry was in
	faults []error
}

// journal is how many changes a replica keeps: fewer than are made while one lags.
const journal = 12

func newWorld(seed int) *world {
	w := &world{m: registrytest.NewMemory(), rand: rand.New(rand.NewPCG(uint64(seed), 0)), was: map[registry.Head]registry.Facts{}, epochs: 1}
	w.m.Do(w.record)
	w.net = &network{next: func(n int) int { return rand.IntN(n) }}
	for range 3 {
		w.net.replicas = append(w.net.replicas, start(w.m, journal))
	}
	w.follower = newFollower(w.net, w, slog.New(slog.DiscardHandler))
	w.stop = run(w.follower)
	return w
}

// record notes the registry's state. It is called while nobody else sees it.
func (w *world) record(m *registrytest.Memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.was[m.Model.Head()] = scoped(m.Model.Facts())
}

// step makes something happen.
func (w *world) step(n int) {
	i := w.rand.IntN(len(w.net.replicas))
	r := w.net.replicas[i]
	switch what := n % 16; {
	case what < 6:
		w.change(1 + w.rand.IntN(4))
	case what == 6:
		w.change(2 * journal)
	case what == 7 && r != nil:
		r.stop()
		w.net.do(func(net *network) { net.replicas[i] = nil })
	case what == 8 && r != nil: // a deployment
		r.service.Drain(time.Second)
		time.Sleep(time.Second)
		r.stop()
		fallthrough
	case what == 8 || what == 7:
		w.net.do(func(net *network) { net.replicas[i] = start(w.m, journal) })
	case what == 9 && r != nil:
		r.cut.Store(!r.cut.Load())
	case what == 10:
		w.m.Do(func(m *registrytest.Memory) {
			w.epochs++
			m.Model.SetHead(registry.Head{Epoch: fmt.Sprintf("e%d", w.epochs), Revision: m.Model.Head().Revision + int64(w.rand.IntN(3)) - 1})
			w.record(m)
		})
	case what == 11:
		w.net.do(func(net *network) { net.spoil = spoiler(w.rand.Uint64()) })
	case what == 12:
		w.net.do(func(net *network) { net.spoil = nil })
	default:
		time.Sleep(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
	}
	if w.rand.IntN(2) == 0 {
		synctest.Wait()
	}
}

func (w *world) change(n int) {
	for range n {
		w.m.Change(func(m *registrytest.Model) registry.Change {
			c := m.Change(w.rand.IntN)
			w.record(w.m)
			return c
		})
	}
}

// end mends everything, and waits until all is well.
func (w *world) end() {
	w.net.do(func(net *network) {
		net.spoil = nil
		for i, r := range net.replicas {
			if r == nil {
				net.replicas[i] = start(w.m, journal)
			} else {
				r.cut.Store(false)
			}
		}
	})
	w.m.Change(func(m *registrytest.Model) registry.Change {
		c := m.PutEnvironment(registry.EnvironmentFacts{Name: scope, Grants: "explicit", MaxStaleness: "1m", ReservedNames: []string{}})
		w.record(w.m)
		return c
	})
	time.Sleep(2 * time.Minute) // until an epoch that is over is given up, if it was gone back to
	if v := w.follower.View(); v == nil || v.Head() != w.m.Head() {
		w.fault(fmt.Errorf("the follower is at %v, want %v", v, w.m.Head()))
	}
	w.stop()
	for _, r := range w.net.replicas {
		r.stop()
	}
}

func (w *world) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err)
}

// Checked holds what the follower shows against what the registry was.
func (w *world) Checked(h registry.Head, _ time.Time) {
	v := w.follower.View()
	w.mu.Lock()
	want, known := w.was[h]
	w.mu.Unlock()
	if !known || v.Head() != h {
		w.fault(fmt.Errorf("the follower shows %v, at which the registry never was", h))
	}
	if diff := cmp.Diff(want, registrytest.FactsOf(v), cmpopts.EquateEmpty()); diff != "" {
		w.fault(fmt.Errorf("at %v (-registry +follower):\n%s", h, diff))
	}
}

// Followed implements snapshot.Observer.
func (*world) Followed(int) {}

// Reloaded implements snapshot.Observer.
func (*world) Reloaded(string) {}

// spoiler returns what spoils some answers: cut off, without their end, with lines
// that are not there, there twice, in another order, or of something else; or the
// answer before in their place.
func spoiler(seed uint64) func(*http.Request, []byte) ([]byte, error) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0))
	before := map[string][]byte{}
	return func(req *http.Request, body []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		old := before[req.URL.Path]
		before[req.URL.Path] = body
		lines := bytes.SplitAfter(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		switch r.IntN(10) {
		case 0:
			return body[:r.IntN(len(body))], io.ErrUnexpectedEOF
		case 1:
			return body[:r.IntN(len(body))], nil
		case 2:
			lines = lines[:len(lines)-1]
		case 3:
			lines = slices.Delete(slices.Clone(lines), i, i+1)
		case 4:
			lines = slices.Insert(slices.Clone(lines), i, lines[j])
		case 5:
			lines[i], lines[j] = lines[j], lines[i]
		case 6:
			lines[i] = bytes.Replace(lines[i], []byte(`"epoch":"e`), []byte(`"epoch":"x`), 1)
		case 7:
			lines[i] = bytes.Replace(lines[i], []byte(`"kind":"`), []byte(`"kind":"new_`), 1)
		case 8:
			if old != nil {
				return old, nil
			}
		default:
			return body, nil
		}
		return bytes.Join(lines, nil), nil
	}
}
