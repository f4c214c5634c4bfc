package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// TestAKilledServerNeverReportsHalfAnAgentAsDone: kill -9 while a provider has
// done its part and nobody has noted it. After a restart the agent shows how far
// it got, and is brought on without being asked for.
func TestAKilledServerNeverReportsHalfAnAgentAsDone(t *testing.T) {
	t.Parallel()
	pending := []string{"pending", "pending", "pending", "pending", "pending"}
	tests := []struct {
		name         string
		at           func(*world) *proxy
		method, path string
		steps        []string
	}{
		{"client", func(w *world) *proxy { return w.auth0 }, "POST", "/api/v2/clients", pending},
		{"alias", func(w *world) *proxy { return w.vault }, "PUT", "/v1/identity/entity-alias", []string{"done", "done", "done", "pending", "pending"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newQuick(t)
			w.as(w.developer).register(registration("warm", nil))
			at, entered := tt.at(w), make(chan struct{})
			at.set(&fault{method: tt.method, path: tt.path, do: hold(entered)})
			unanswered := make(chan struct{})
			go func() {
				defer close(unanswered)
				w.postAndForget("/agents", registration("half", nil))
			}()
			wait(t, entered, "the request at the provider")
			w.kill()
			wait(t, unanswered, "the caller")
			w.start()

			dev := w.as(w.developer)
			half := w.agent("half")
			var steps []string
			for _, s := range half.Provisioning {
				steps = append(steps, string(s.State))
			}
			if diff := cmp.Diff(tt.steps, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if isReady(half) || len(half.Conditions) != 4 || half.Revision != 0 {
				t.Errorf("half an agent is shown as %+v", half)
			}
			dev.post("/agents", registration("half", nil)).wantRefused(t, 409, "name_taken", "/name name_taken")
			at.set(nil)
			w.settles()
			if whole := w.agent("half"); !isReady(whole) || whole.ID != half.ID {
				t.Errorf("it became %+v", whole)
			}
			w.checkAgreement()
			w.createdOnce("half")
		})
	}
}

func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(bound):
		t.Fatalf("%s: not within %s", what, bound)
	}
}

// TestAStoppedServerFinishesItsRequests: SIGTERM lets a registration end, and
// the caller has its answer.
func TestAStoppedServerFinishesItsRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, release := make(chan struct{}), make(chan struct{})
	w.auth0.set(&fault{method: "POST", path: "/api/v2/client-grants", times: 1, do: delay(entered, release)})
	answers := make(chan response, 1)
	go func() { answers <- w.postAndForget("/agents", registration("last", nil)) }()
	wait(t, entered, "the request at the provider")
	w.signal(15)
	eventually(t, "the server stops listening", func() bool { return !w.listens() })
	close(release)
	if got := <-answers; got.status != 201 {
		t.Errorf("the last caller got %d %s", got.status, got.body)
	}
	if code := w.wait(t); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}

// TestEqualRegistrationsAtOnce: one wins, and makes one client; different ones
// all win.
func TestEqualRegistrationsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	same := make([]string, 20)
	for i := range same {
		same[i] = registration("same", nil)
	}
	statuses := w.atOnce(same)
	slices.Sort(statuses)
	want := append([]int{201}, slices.Repeat([]int{409}, 19)...)
	if diff := cmp.Diff(want, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if clients := w.tenant.Clients(); len(clients) != 1 {
		t.Errorf("%d clients, want one", len(clients))
	}
	different := make([]string, 30)
	for i := range different {
		different[i] = registration("different-"+string(rune('a'+i%26))+string(rune('a'+i/26)), nil)
	}
	if diff := cmp.Diff(slices.Repeat([]int{201}, 30), w.atOnce(different)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	var revisions []int64
	for _, name := range pages(w.as(w.developer), "/agents", "") {
		var a api.Agent
		w.as(w.developer).get("/agents/"+name).decode(t, &a)
		revisions = append(revisions, a.Revision)
		if e, _ := w.entityOf(a.ID); !isReady(a) || len(e.Aliases) != 1 || e.Aliases[0].Name != *a.Identity.Subject {
			t.Errorf("agent %+v has entity %+v", a, e)
		}
	}
	slices.Sort(revisions)
	if n := len(slices.Compact(revisions)); n != 31 || len(w.tenant.Clients()) != 31 {
		t.Errorf("%d revisions and %d clients of 31 agents", n, len(w.tenant.Clients()))
	}
}
