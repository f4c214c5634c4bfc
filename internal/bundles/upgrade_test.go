package bundles_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
	"github.com/credenceproject/credence/policy"
)

// An upgrade replaces the servers one by one, and the policy once: replicas of
// this version serve both layouts, whichever is active, and none misses a beat.
func TestInvariant_B2_ReplicasServeOnWhenTheNextLayoutIsActivated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Change(withPolicy(inLayout(registrytest.Policy(1), 2)))
		agent := registry.AgentFacts{
			ID: "0197c000-0000-7000-8000-000000000001", Name: "triage", Team: "support", AgentType: "assistant", Environment: "production",
			Subject: "client-1@clients", Scopes: []string{"skills:invoke"}, ExpiresAt: time.Unix(4102444800, 0),
		}
		m.Change(func(m *registrytest.Model) registry.Change { return m.PutAgent(agent) })
		long := start(t, m)
		before := get(t, long.Service, "production")
		expectSaid(t, long, `"layout":2`, `"max_staleness":"15m"`)

		m.Change(withPolicy(policy.Platform()))
		synctest.Wait()
		time.Sleep(time.Second) // until the head is looked at
		synctest.Wait()
		started := start(t, m)
		after := get(t, long.Service, "production")
		if fresh := get(t, started.Service, "production"); bytesOf(t, fresh) != bytesOf(t, after) {
			t.Errorf("%s is not what a replica that has just started makes of it", after.Tag)
		}
		expectSaid(t, long, `"layout":3`, `"as_of":`, `"max_staleness":900000000000`)
		for _, r := range []replica{long, started} {
			if diff := cmp.Diff(outcome{Bundle: after.Tag.String()}, outcomeOf(ask(t.Context(), r, "production", tags(before.Tag.String())))); diff != "" {
				t.Errorf("who has the bundle from before (-want +got):\n%s", diff)
			}
		}

		m.Change(withPolicy(inLayout(registrytest.Policy(1), 2))) // and back, by force
		time.Sleep(time.Second)
		synctest.Wait()
		expectSaid(t, long, `"layout":2`, `"max_staleness":"15m"`)
		expectScratch(t, snapshot.New(m.Model.Facts()), "production", get(t, long.Service, "production"))
	})
}

// expectSaid says that production's bundle has the words in its data.
func expectSaid(t *testing.T, r replica, words ...string) {
	t.Helper()
	var all strings.Builder
	for path, content := range files(t, get(t, r.Service, "production")) {
		if strings.HasSuffix(path, ".json") {
			all.WriteString(content)
		}
	}
	for _, w := range words {
		if !strings.Contains(all.String(), w) {
			t.Errorf("%s is not in the bundle: %s", w, all.String())
		}
	}
}
