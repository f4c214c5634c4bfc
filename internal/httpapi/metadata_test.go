package httpapi

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var metadataFields = []string{
	"x-resource-type", "x-resource-team", "x-resource-environment", "x-resource-data-classification", "x-resource-revision", "ETag", "Age",
}

func TestMetadataIsInTheBodyAndInTheHeader(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill).want(t, 201, "")
	w.catchUp(t)
	epoch := w.follower.View().Head().Epoch
	for _, tt := range []struct{ query, place, environment, tag string }{
		{"?environment=production", `"environment": "production"`, "production", `"hello-skill@production.` + epoch + `.3"`},
		{"?environment=staging", `"environment": "staging"`, "staging", `"hello-skill@staging.` + epoch + `.3"`},
		{"", `"environments": ["production", "staging"]`, "production, staging", `"hello-skill.` + epoch + `.3"`},
	} {
		got := w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata"+tt.query, "")
		got.want(t, 200, "")
		got.wantJSON(t, `{"access": {"agent_types": [], "teams": ["customer-success"], "visibility": "team"}, "data_classification": "low",
			`+tt.place+`, "labels": {"tier": "1"}, "name": "hello-skill", "required_permissions": ["skills:invoke"], "revision": 3,
			"team": "platform", "type": "skill"}`)
		want := map[string]string{
			"x-resource-type": "skill", "x-resource-team": "platform", "x-resource-environment": tt.environment,
			"x-resource-data-classification": "low", "x-resource-revision": "3", "ETag": tt.tag, "Age": "0",
		}
		fields := got.fields(metadataFields...)
		if age, err := strconv.Atoi(fields["Age"]); err == nil && age <= 2 {
			fields["Age"] = "0" // the machine may be slow
		}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("%q: header (-want +got):\n%s", tt.query, diff)
		}

		head := w.ask(t, "gateway", "HEAD", "/resources/hello-skill/metadata"+tt.query, "")
		head.want(t, 200, "")
		headFields := head.fields(metadataFields...)
		maps.Copy(headFields, map[string]string{"Age": "0"})
		if diff := cmp.Diff(want, headFields); diff != "" { // the server of net/http leaves the body out
			t.Errorf("%q: HEAD: header (-want +got):\n%s", tt.query, diff)
		}
		for _, method := range []string{"GET", "HEAD"} {
			unchanged := w.ask(t, "gateway", method, "/resources/hello-skill/metadata"+tt.query, "", "If-None-Match", `"other", `+tt.tag)
			if unchanged.want(t, 304, ""); unchanged.Header().Get("ETag") != tt.tag || unchanged.Body.Len() != 0 {
				t.Errorf("304 with the ETag %s and the body %q", unchanged.Header().Get("ETag"), unchanged.Body)
			}
			w.ask(t, "gateway", method, "/resources/hello-skill/metadata"+tt.query, "", "If-None-Match", `"hello-skill@nowhere.`+epoch+`.3"`).want(t, 200, "")
		}
	}
}

func TestMetadataOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill).want(t, 201, "")
	w.ask(t, "admin", "PUT", "/environments/empty", `{}`).want(t, 201, "")
	w.catchUp(t)
	w.ask(t, "gateway", "GET", "/resources/nothing/metadata", "").want(t, 404, "not_found")
	w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata?environment=empty", "").want(t, 404, "not_deployed")
	w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata?environment=nowhere", "").want(t, 404, "not_deployed")
	for _, odd := range []string{"", "A", "*", "a%00", "production%0d%0ax:y", strings.Repeat("a", 64)} {
		w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata?environment="+odd, "").want(t, 422, "invalid_parameter")
	}
	w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata", "", "If-None-Match", "x").want(t, 400, "invalid_parameter")
	w.ask(t, "gateway", "HEAD", "/resources/nothing/metadata", "").want(t, 404, "not_found")

	w.ask(t, "owner", "DELETE", "/resources/hello-skill", "").want(t, 204, "")
	w.catchUp(t)
	w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata", "").want(t, 404, "not_found")
}

func TestMetadataIsAnsweredWithoutADatabase(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill).want(t, 201, "")
	w.catchUp(t)
	w.pool.Close()
	w.ask(t, "gateway", "GET", "/resources/hello-skill/metadata?environment=production", "").want(t, 200, "")
	if got := w.ask(t, "gateway", "GET", "/resources/hello-skill", ""); got.Code < 500 {
		t.Errorf("without a database the resource itself was answered with status %d", got.Code)
	}
}
