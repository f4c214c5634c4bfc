package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/api"
)

// hostileLayers are modules that are wrong or worse, and words of what their author
// is told.
func hostileLayers() map[string]struct{ module, says string } {
	return map[string]struct{ module, says string }{
		"no Rego":                    {"deny if true", "package"},
		"half a module":              {layer(`deny contains "a" if {`), "line"},
		"of version 0":               {layer(`deny["a"] { true }`), "line 7"},
		"another team's package":     {strings.Replace(layer(`deny contains "a" if false`), team, otherTeam, 1), "package"},
		"the platform's package":     {strings.Replace(layer(`deny contains "a" if false`), `layers.team["`+team+`"]`, "authz", 1), "package"},
		"reads the input":            {layer(`deny contains "a" if input.jwt`), "data.mcp.request"},
		"reads the registry":         {layer(`deny contains "a" if data.registry.agents`), "data.mcp.request"},
		"reads another layer":        {layer(`deny contains "a" if data.mcp.layers.team["` + otherTeam + `"].deny["b"]`), "data.mcp.request"},
		"reads what it is told to":   {layer("deny contains \"a\" if {\n\tsome x in [\"mcp\"]\n\tdata[x]\n}"), "data"},
		"calls the decision":         {layer(`deny contains "a" if data.mcp.authz.allow`), "data.mcp.request"},
		"replaces the request":       {layer(`deny contains "a" if request.method == "GET" with data.mcp.request as {}`), "with"},
		"allow is one value":         {layer(`allow := true`), "contains"},
		"deny is a boolean":          {layer(`deny if request.method == "GET"`), "contains"},
		"no meta":                    {strings.Replace(layer(`deny contains "a" if false`), "meta := {}", "", 1), "meta"},
		"sends requests":             {layer(`deny contains "a" if http.send({"method": "GET", "url": "http://127.0.0.1:1"})`), "http.send"},
		"looks up names":             {layer(`deny contains "a" if net.lookup_ip_addr("example.com")`), "net.lookup_ip_addr"},
		"reads the environment":      {layer(`deny contains "a" if opa.runtime().env.HOME`), "opa.runtime"},
		"shifts until memory ends":   {layer(`deny contains "a" if bits.lsh(1, 20000000000) > 0`), "bits.lsh"},
		"a template of 12 seconds":   {layer(`deny contains "a" if strings.render_template("{{range $i := .}}{{range $j := $}}{{end}}{{end}}", {"a": [1]}) == ""`), "strings.render_template"},
		"parses YAML":                {layer(`deny contains "a" if yaml.unmarshal("&a [*a]")`), "yaml.unmarshal"},
		"counts to a billion":        {layer(`deny contains "a" if count(numbers.range(1, 1000000000)) > 0`), "numbers.range"},
		"goes through too much":      {layer("deny contains \"a\" if {\n\tsome a in request.path\n\tsome b in request.path\n\tsome c in request.path\n\tsome d in request.path\n\tsome e in request.path\n\ta == b\n\tc == d\n\te == a\n}"), "line"},
		"a helper of several values": {layer("h := 1 if request.method == \"GET\"\n\nh := 2 if request.path\n\ndeny contains \"a\" if h == 1"), "h"},
		"too long":                   {layer(strings.Repeat("# a comment that is long\n", 3000)), "65536"},
	}
}

// TestInvariant_E2_HostileLayersAreRefusedWithWordsAndTheServerGoesOn: each with where
// and what to write, and none of them costs another caller anything.
func TestInvariant_E2_HostileLayersAreRefusedWithWordsAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t)
	author := w.author()
	slowest := make(chan time.Duration)
	stop := make(chan struct{})
	go func() {
		var longest time.Duration
		for {
			select {
			case <-stop:
				slowest <- longest
				return
			default:
				began := time.Now()
				w.tryAs(w.admin, "GET", "/resources/hello-skill/metadata", "")
				longest = max(longest, time.Since(began))
			}
		}
	}()
	var wg sync.WaitGroup
	for name, tt := range hostileLayers() {
		wg.Go(func() {
			answer := author.with("If-None-Match", "*").put("/policies/team/"+team, rego(tt.module))
			for answer.status == 503 { // others are being checked
				answer = author.with("If-None-Match", "*").put("/policies/team/"+team, rego(tt.module))
			}
			if text := string(answer.body); answer.status != 422 || !strings.Contains(text, tt.says) {
				t.Errorf("%s: %d %s, want 422 with %q", name, answer.status, text, tt.says)
			}
		})
	}
	wg.Wait()
	close(stop)
	if longest := <-slowest; longest > 3*time.Second {
		t.Errorf("meanwhile a read took %s", longest)
	}
	w.as(w.admin).get("/policies/team/"+team).wantRefused(t, 404, "not_found")
	author.putPolicy("team/"+team, rego(layer(`deny contains "fine" if request.method == "TRACE"`))).want(t, 201)
}

// TestAnAuthorsTestsDecideWhetherItIsSaved: a test that fails is shown with its place,
// and validate says the same and keeps nothing.
func TestAnAuthorsTestsDecideWhetherItIsSaved(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t)
	author := w.author()
	document := func(method string) string {
		test := fmt.Sprintf("package cs_test\n\nimport data.mcp.layers.team[\"%s\"] as layer\n\ntest_deletes_are_denied if \"no_deletes\" in layer.deny with data.mcp.request as {\"method\": %q}\n", team, method)
		return fmt.Sprintf(`{"rego": %q, "tests": %q}`, layer(`deny contains "no_deletes" if request.method == "DELETE"`), test)
	}
	validate := "/policies:validate?tier=team&id=" + team
	for _, refused := range []response{
		author.with("If-None-Match", "*").put("/policies/team/"+team, document("GET")), author.post(validate, document("GET")),
	} {
		if text := string(refused.body); refused.status != 422 || !strings.Contains(text, "test_deletes_are_denied") || !strings.Contains(text, "/tests") {
			t.Errorf("a failing test: %d %s", refused.status, text)
		}
	}
	var verdict api.PolicyVerdict
	author.post(validate, document("DELETE")).want(t, 200).decode(t, &verdict)
	if len(verdict.Tests) != 1 || !verdict.Tests[0].Passed || verdict.DeniesEveryone {
		t.Errorf("validate says %+v", verdict)
	}
	author.get("/policies/team/"+team).wantRefused(t, 404, "not_found")
	author.putPolicy("team/"+team, document("DELETE")).want(t, 201)
	author.post("/policiesvalidate", "{}").wantRefused(t, 404, "not_found")
}

// TestALayerThatDeniesEveryoneAsksFirst: whoever means it says so.
func TestALayerThatDeniesEveryoneAsksFirst(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t)
	author := w.author()
	for fault, document := range map[string]string{
		"/rules denies_everyone": `{"rules": [{"code": "nobody", "effect": "deny"}]}`,
		"/rego denies_everyone":  rego(layer(`deny contains "nobody"`)),
	} {
		author.with("If-None-Match", "*").put("/policies/team/"+team, document).wantRefused(t, 422, "denies_everyone", fault)
	}
	author.with("If-None-Match", "*").put("/policies/team/"+team+"?confirm=denies_everyone", `{"rules": [{"code": "nobody", "effect": "deny"}]}`).want(t, 201)
}

// TestAPolicyGoesBackToWhatItWas: each write is a version, a rollback is a new one,
// and what was deleted comes back with its history.
func TestAPolicyGoesBackToWhatItWas(t *testing.T) {
	t.Parallel()
	w, _, claims := tiered(t)
	opa := w.startPollingOPA("http://" + w.api)
	author := w.author()
	path := "/policies/team/" + team
	author.putPolicy("team/"+team, `{"rules": [{"code": "late", "effect": "deny", "when": {"methods": ["POST"]}}]}`).want(t, 201)
	opa.becomes(claims, "hello-skill", "team/late")
	author.putPolicy("team/"+team, `{}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "allow")
	author.post(path+"/rollback", `{"version": 1}`).wantRefused(t, 428, "precondition_required")
	author.with("If-Match", author.get(path).header.Get("ETag")).post(path+"/rollback", `{"version": 1}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "team/late")
	author.deletePolicy("team/"+team).want(t, 204)
	opa.becomes(claims, "hello-skill", "allow")
	author.with("If-None-Match", "*").post(path+"/rollback", `{"version": 3}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "team/late")
	var page api.PolicyVersionPage
	author.get(path+"/versions").want(t, 200).decode(t, &page)
	var actions []string
	for _, v := range page.Items {
		actions = append(actions, fmt.Sprintf("%d %s", v.Version, v.Action))
	}
	if got := strings.Join(actions, ", "); got != "5 rollback, 4 delete, 3 rollback, 2 put, 1 put" {
		t.Errorf("versions: %s", got)
	}
}
