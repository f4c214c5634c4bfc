package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// feedFollower follows production over HTTP, as anybody's mirror can.
func (w *world) feedFollower() *snapshot.Follower {
	w.t.Helper()
	token := w.token("test|mirror", []string{"bundles:read:production"})
	c := must(feed.NewClient(feed.ClientOptions{
		URL: "http://" + w.api, Scope: "production", HTTP: &http.Client{}, UserAgent: "test",
		Token: func(context.Context) (string, error) { return token, nil },
	}))(w.t)
	f := snapshot.NewFollower(snapshot.Options{Connect: c.Connect, Scoped: true, CheckEvery: 10 * time.Second, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	w.t.Cleanup(func() { stop(); running.Wait() })
	eventually(w.t, "the feed's snapshot", func() bool { return f.View() != nil })
	return f
}

// TestInvariant_B5_AFollowerOfTheFeedEqualsAFreshSnapshot: after changes of each kind,
// and it has them a moment later, also over a restart of the server.
func TestInvariant_B5_AFollowerOfTheFeedEqualsAFreshSnapshot(t *testing.T) {
	t.Parallel()
	w, agent, _ := tiered(t)
	f := w.feedFollower()
	shows := func(what string, so func(v *snapshot.View) bool) {
		t.Helper()
		within(t, 2*time.Second, func() string { return "the follower does not show " + what }, func() bool { return so(f.View()) })
	}
	w.author().putPolicy("team/"+team, `{"rules": [{"code": "late", "effect": "deny", "when": {"methods": ["POST"]}}]}`).want(t, 201)
	shows("the layer", func(v *snapshot.View) bool {
		l, ok := v.Layer(registry.LayerKey{Tier: registry.TierTeam, ID: team})
		return ok && l.Rules[0].Code == "late"
	})
	w.as(w.developer).post("/agents/"+agent.Agent.ID+"/suspend", `{"reason": "a leak"}`).want(t, 200)
	shows("the suspension", func(v *snapshot.View) bool {
		a, ok := v.Agent(agent.Agent.ID)
		return ok && a.Suspended
	})
	w.setVisibility("team")
	shows("the resource", func(v *snapshot.View) bool {
		r, ok := v.Resources().Get("hello-skill")
		return ok && r.Access.Visibility == "team"
	})
	for i := range 20 {
		w.postAndForget("/agents", registration(fmt.Sprintf("agent-%d", i), nil))
	}
	w.settles()
	w.as(w.developer).delete("/agents/agent-3").want(t, 204)
	head := w.as(w.admin).get("/revision")
	var at registry.Head
	var answer struct {
		Epoch    string `json:"epoch"`
		Revision int64  `json:"revision"`
	}
	head.want(t, 200).decode(t, &answer)
	at = registry.Head{Epoch: answer.Epoch, Revision: answer.Revision}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.WaitFor(ctx, at); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(registrytest.FactsOf(w.feedFollower().View()), registrytest.FactsOf(f.View())); diff != "" {
		t.Errorf("the follower differs from a fresh snapshot (-fresh +follower):\n%s", diff)
	}
}

// TestTheFeedTellsWhoIsTooOldToStartAgain: and no scope is told to whom it is not for.
func TestTheFeedTellsWhoIsTooOldToStartAgain(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	mirror := w.as(w.token("test|mirror", []string{"bundles:read:production"}))
	mirror.get("/changes?scope=production&since=0123456789abcdef.5").wantRefused(t, 410, "changes_gone")
	mirror.get("/changes?scope=staging&since=0123456789abcdef.5").wantRefused(t, 403, "permission_denied")
	mirror.get("/snapshot?scope=staging").wantRefused(t, 403, "permission_denied")
	mirror.get("/snapshot").wantRefused(t, 403, "permission_denied")
	w.as(w.token("test|all", []string{"bundles:read"})).get("/snapshot?scope=nowhere").wantRefused(t, 404, "not_found")
}
