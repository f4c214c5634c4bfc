package apiclient

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// pages answers lists of agents page by page.
func pages(w http.ResponseWriter, r *http.Request) {
	agent := func(name string) map[string]any { return map[string]any{"name": name, "of_a_later_version": true} }
	switch r.URL.Query().Get("cursor") {
	case "":
		answerJSON(w, http.StatusOK, map[string]any{"items": []any{agent("a"), agent("b")}, "next_cursor": "p/2+"})
	case "p/2+":
		answerJSON(w, http.StatusOK, map[string]any{"items": []any{}, "next_cursor": "p3"})
	default:
		answerJSON(w, http.StatusOK, map[string]any{"items": []any{agent("c")}})
	}
}

func TestAgentsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, pages)
	var names []string
	for a, err := range newClient(t, server.URL+"/prefix/").Agents(t.Context(), AgentFilter{Team: "cx", Lifecycle: "active", PageSize: 2}) {
		if err != nil {
			t.Fatalf("Agents: %v", err)
		}
		names = append(names, a.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var uris []string
	for _, c := range server.seen() {
		uris = append(uris, c.URI)
	}
	want := []string{
		"/prefix/agents?lifecycle=active&limit=2&team=cx",
		"/prefix/agents?cursor=p%2F2%2B&lifecycle=active&limit=2&team=cx",
		"/prefix/agents?cursor=p3&lifecycle=active&limit=2&team=cx",
	}
	if diff := cmp.Diff(want, uris); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAPageThatIsNotAskedForIsNotRead(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, pages)
	for _, err := range newClient(t, server.URL).Agents(t.Context(), AgentFilter{}) {
		if err != nil {
			t.Errorf("Agents: %v", err)
		}
		break
	}
	if n := len(server.seen()); n != 1 {
		t.Errorf("%d pages were read, want 1", n)
	}
}

func TestAListThatGoesInCirclesEnds(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"items": []any{map[string]any{"name": "a"}}, "next_cursor": "again"})
	})
	var last error
	n := 0
	for _, err := range newClient(t, server.URL).Agents(t.Context(), AgentFilter{}) {
		n, last = n+1, err
	}
	if last == nil || !strings.Contains(last.Error(), "does not go on") || n != 3 {
		t.Errorf("after %d steps: %v, want an error at the third", n, last)
	}
}

func TestAReferenceStaysOneSegmentOfThePath(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c := newClient(t, server.URL)
	for _, ref := range []string{"", ".", "..", "../teams/cx", "a/b", "a%2fb", "a?b", "A", "a_b", "{{a}}", "a\x00", strings.Repeat("a", 64)} {
		_, errGet := c.Agent(t.Context(), ref)
		if errDelete := c.DeleteAgent(t.Context(), ref); !errors.Is(errGet, registry.NotFound) || !errors.Is(errDelete, registry.NotFound) {
			t.Errorf("%q: get %v, delete %v, want NotFound", ref, errGet, errDelete)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
	if err := c.DeleteAgent(t.Context(), testID); err != nil {
		t.Errorf("DeleteAgent by id: %v", err)
	}
}
