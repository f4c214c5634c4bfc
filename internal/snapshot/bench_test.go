package snapshot_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

var sizes = []int{1_000, 10_000, 100_000}

func BenchmarkApply(b *testing.B) {
	for _, agents := range sizes {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			facts := registrytest.Large(agents, 10_000)
			v := snapshot.New(facts)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := facts.Agents[i%agents]
				a.Suspended = i/agents%2 == 0
				h := v.Head()
				h.Revision++
				next, err := v.Apply([]registry.Change{{
					Head: h, Kind: registry.AgentChange, ObjectID: a.ID, OldScope: "production", NewScope: "production", Agent: &a,
				}})
				if err != nil {
					b.Fatal(err)
				}
				v = next
			}
		})
	}
}

// What an agent costs in memory, its facts and all that finds them.
func BenchmarkViewMemory(b *testing.B) {
	for _, agents := range sizes {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				v := snapshot.New(registrytest.Large(agents, 0))
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(v)
			}
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(agents), "bytes/agent")
			b.ReportMetric(0, "ns/op") // says nothing here
		})
	}
}

// How long from the return of a commit until another replica's view has it, with
// the real Postgres.
func BenchmarkCommitToVisible(b *testing.B) {
	shared := setup(b)
	seen := make(sightings, 1000)
	shared.follow(b, snapshot.Options{Observer: seen})
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		team, _, err := shared.store.PutTeam(b.Context(), registry.Team{Name: "changing", MaxAgents: int64(i)}, registry.Precondition{}, registry.Actor{})
		if err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		s := <-seen
		for s.revision < team.Revision {
			s = <-seen
		}
		took = append(took, max(0, s.at.Sub(committed))) // it may be seen before the writer hears of it
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// sightings observes which revision was in the view when.
type sightings chan sighting

type sighting struct {
	revision int64
	at       time.Time
}

func (s sightings) Checked(h registry.Head, _ time.Time) {
	select {
	case s <- sighting{h.Revision, time.Now()}:
	default: // nobody looks any more
	}
}

func (sightings) Followed(int)    {}
func (sightings) Reloaded(string) {}
