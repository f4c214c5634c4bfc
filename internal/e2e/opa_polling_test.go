package e2e_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// TestAnOPAThatStartsAnewDownloadsOnce: it keeps no ETag, so that its first poll
// has none, and what it gets then is what its predecessor had.
func TestAnOPAThatStartsAnewDownloadsOnce(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	first := w.startOPA(r.URL)
	if err := first.opa.Stop(); err != nil {
		t.Fatal(err)
	}
	before := r.polls()
	w.startOPA(r.URL)
	again := r.polls()[len(before)]
	if again.ifNoneMatch != "" || again.status != 200 || again.etag != before[0].etag || again.length != before[0].length {
		t.Errorf("the first poll of an OPA that started anew: %+v, want what the one before it got: %+v", again, before[0])
	}
}

// TestAnOPAWithoutTheRightTokenGetsNothing: each of its polls is refused, and none
// tells it of a state.
func TestAnOPAWithoutTheRightTokenGetsNothing(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	for token, status := range map[string]int{
		w.token("test|opa-of-staging", []string{"bundles:read:staging"}):                     403,
		w.token("test|opa-of-nobody", []string{"resources:read"}):                            403,
		w.forge(map[string]any{"exp": 1, "iat": 0, "permissions": []string{"bundles:read"}}): 401,
		"no token": 401,
	} {
		r := newRecorder(t, w.api)
		w.runOPA(token, r.URL, nil)
		eventually(t, "two polls", func() bool { return len(r.polls()) >= 2 })
		for _, p := range r.polls() {
			if p.status != status || p.ifNoneMatch != "" || p.etag != "" {
				t.Errorf("%+v, want %d", p, status)
			}
		}
	}
}

// TestAListOfSupersededStatesIsUnderstood: an OPA that keeps what it had lately
// sends all of it, the present state first, and is told that it has that one.
func TestAListOfSupersededStatesIsUnderstood(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	w.runOPA(w.token("test|opa", []string{"bundles:read:production"}), r.URL, map[string]any{"superseded_etag_ttl_seconds": 60})
	states := map[string]bool{}
	next := func() {
		eventually(t, "a new state", func() bool { return r.state() != "" && !states[r.state()] })
		states[r.state()] = true
	}
	next()
	for _, visibility := range []string{"team", "organization"} {
		w.setVisibility(visibility)
		next()
	}
	var last poll
	eventually(t, "a poll with a list", func() bool {
		polls := r.polls()
		last = polls[len(polls)-1]
		return strings.Count(last.ifNoneMatch, ",") == 2
	})
	if last.status != 304 || last.etag != r.state() || !strings.HasPrefix(last.ifNoneMatch, r.state()) {
		t.Errorf("%+v, want 304 with %s", last, r.state())
	}
}

// runOPA runs an OPA that nobody asks, whose polls a recorder sees. It gets polling
// beside the usual.
func (w *world) runOPA(token, controlURL string, polling map[string]any) {
	w.t.Helper()
	dir := w.t.TempDir()
	every := map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1}
	for name, value := range polling {
		every[name] = value
	}
	config := must(json.Marshal(map[string]any{
		"services": map[string]any{"credence": map[string]any{"url": controlURL, "credentials": map[string]any{"bearer": map[string]any{"token": token}}}},
		"bundles":  map[string]any{"credence": map[string]any{"service": "credence", "resource": "bundles/production", "polling": every}},
	}))(w.t)
	cmd := exec.Command(filepath.Join(must(local.FindTools(""))(w.t).Dir, "bin", "opa"),
		"run", "--server", "--disable-telemetry", "--addr=127.0.0.1:0", "--config-file="+w.file(filepath.Base(dir)+"-opa.json", string(config)))
	cmd.Env = []string{"HOME=" + dir}
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
