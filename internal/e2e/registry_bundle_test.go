package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/testdb"
)

// unpack returns the files of a bundle.
func unpack(t testing.TB, bundle []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for archive := tar.NewReader(must(gzip.NewReader(bytes.NewReader(bundle)))(t)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(must(io.ReadAll(archive))(t))
	}
}

// TestInvariant_B7_BundlesCarryWhatPolicyNeedsAndNoMore searches a bundle for what
// was registered, and everything that a server and an OPA leave behind for the
// tokens that opened it.
func TestInvariant_B7_BundlesCarryWhatPolicyNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	w.as(w.admin).put("/resources/hello-skill", `{
		"type": "skill", "team": "platform", "description": "needle-description", "labels": {"tier": "found-label"},
		"access": {"visibility": "team", "teams": ["found-team"]},
		"deployments": {"production": {"endpoint": "https://skills.example.com/needle-endpoint"}},
		"operations": [{"name": "needle-operation", "method": "POST", "path": "/needle-path", "input": {"title": "needle-input"}}]}`).want(t, 200)
	agent := w.as(w.developer).register(registration("found-agent", map[string]any{
		"owner": "needle-owner@example.com", "description": "needle-description", "labels": map[string]any{"cost-center": "found-label"},
		"config": map[string]any{"max_tickets_per_hour": 987654321}, "quota": map[string]any{"requests_per_second": 97},
		"capabilities": []any{map[string]any{"name": "needle-capability", "description": "needle-description"}},
	}))
	elsewhere := w.as(w.developer).register(registration("needle-agent-elsewhere", map[string]any{"environment": "staging"}))
	opa := w.startOPA("http://" + w.api)
	opa.becomes(w.claimsOf(w.agentToken(agent)), "hello-skill", "platform/access_denied")

	answer := w.bundleReader().get("/bundles/production").want(t, 200)
	files := unpack(t, answer.body)
	all := ""
	for name, content := range files {
		all += name + "\n" + content + "\n"
	}
	needles := map[string]string{
		"the config": "987654321", "a quota": "requests_per_second", "an endpoint": "skills.example.com", "another environment's agent": elsewhere.Credentials.ClientID,
		"the tenant": w.issuer(), "what is called a needle": "needle-",
	}
	for secret, what := range w.secrets.all() {
		needles[what] = secret
	}
	for what, needle := range needles {
		if strings.Contains(all, needle) {
			t.Errorf("%s is in the bundle", what)
		}
	}
	for _, needed := range []string{"found-agent", "found-team", "found-label", agent.Agent.ID, agent.Credentials.ClientID + "@clients", "hello-skill"} {
		if !strings.Contains(all, needed) {
			t.Errorf("the bundle lacks %s: was it searched at all?", needed)
		}
	}
	var manifest any
	if err := json.Unmarshal([]byte(files[".manifest"]), &manifest); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"revision": strings.Trim(answer.header.Get("ETag"), `"`), "roots": []any{"mcp", "registry", "system/log"}, "rego_version": 1.0,
	}
	if diff := cmp.Diff(want, manifest); diff != "" {
		t.Errorf(".manifest (-want +got):\n%s", diff)
	}

	opaLog := must(os.ReadFile(opa.opa.Log))(t)
	w.stop(t)
	places := map[string][]byte{"the log": w.stderr.bytes(), "OPA's log": opaLog, "the database": testdb.Dump(t, w.dsn)}
	for place, content := range places {
		for secret, what := range w.secrets.all() {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s is in %s", what, place)
			}
		}
	}
	if !bytes.Contains(places["the log"], []byte("/bundles/:scope")) || !bytes.Contains(opaLog, []byte("Bundle loaded and activated")) {
		t.Errorf("the logs lack what they should tell: were they searched at all?\n%s", opaLog)
	}
}
