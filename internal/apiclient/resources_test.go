package apiclient

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

func TestPutTakesBothStatusesOfSuccessAndNoOther(t *testing.T) {
	t.Parallel()
	for status, ok := range map[int]bool{200: true, 201: true, 202: false, 204: false} {
		server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, status, map[string]any{"name": "hello-skill", "revision": 7})
		})
		r, err := newClient(t, server.URL).PutResource(t.Context(), "hello-skill", []byte(`{"type":"skill"}`))
		if (err == nil) != ok || ok && r.Revision != 7 {
			t.Errorf("status %d: %+v, error %v", status, r, err)
		}
		want := []call{{Method: "PUT", URI: "/resources/hello-skill", Authorization: "Bearer " + testToken, ContentType: "application/json", Body: `{"type":"skill"}`}}
		if diff := cmp.Diff(want, server.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
}

func TestResourcesArePutAgainButNotDeletedAgainWhenTheServerIsBusy(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		answerProblem(w, api.Problem{Status: http.StatusServiceUnavailable, Code: "database_unavailable"})
	})
	c := newClient(t, server.URL)
	if err := c.DeleteResource(t.Context(), "hello-skill"); !errors.Is(err, registry.Unavailable) || len(server.seen()) != 1 {
		t.Errorf("DeleteResource: %v after %d requests, want Unavailable after 1", err, len(server.seen()))
	}
	if _, err := c.PutResource(t.Context(), "hello-skill", []byte(`{}`)); !errors.Is(err, registry.Unavailable) || len(server.seen()) != 1+attempts {
		t.Errorf("PutResource: %v after %d requests, want Unavailable after %d", err, len(server.seen())-1, attempts)
	}
}

func TestResourcesAreReadPageByPageEachTimeAnew(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, pages)
	all := newClient(t, server.URL).Resources(t.Context(), ResourceFilter{Type: "skill", Team: "cx", Environment: "production", Operation: "o", Q: "a b", PageSize: 2})
	for range 2 {
		var names []string
		for r, err := range all {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, r.Name)
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	}
	const query = "environment=production&limit=2&operation=o&q=a+b&team=cx&type=skill"
	if first := server.seen()[0].URI; first != "/resources?"+query {
		t.Errorf("the first page is %s", first)
	}
	if second := server.seen()[1].URI; second != "/resources?cursor=p%2F2%2B&"+query {
		t.Errorf("the second page is %s", second)
	}
}

func TestAResourcesNameStaysOneSegmentOfThePath(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c := newClient(t, server.URL)
	for _, name := range []string{"", "..", "../agents/a", "a/b", "a%2fb", "a?b", "A", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"} {
		_, errGet := c.Resource(t.Context(), name)
		_, errPut := c.PutResource(t.Context(), name, []byte(`{}`))
		errDelete := c.DeleteResource(t.Context(), name)
		if !errors.Is(errGet, registry.NotFound) || !errors.Is(errPut, registry.Invalid) || !errors.Is(errDelete, registry.NotFound) {
			t.Errorf("%q: get %v, put %v, delete %v", name, errGet, errPut, errDelete)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}
