package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/local"
)

// bundleKey makes a key that signs bundles and leaves it where a server reads it.
func bundleKey(t testing.TB, dir, name string) (key *bundles.Key, public string) {
	t.Helper()
	private := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))(t)})
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	key = must(bundles.ParseKey(text))(t)
	return key, must(key.PublicKey())(t)
}

// TestOPATakesSignedBundlesAndRefusesTamperedOnes: it holds them to the key that its
// own configuration names, and keeps what it has.
func TestOPATakesSignedBundlesAndRefusesTamperedOnes(t *testing.T) {
	t.Parallel()
	keys := t.TempDir()
	key, public := bundleKey(t, keys, "production.pem")
	w, _, claims := tiered(t, "CREDENCE_BUNDLE_KEYS_DIR", keys)
	verifying := func(o *local.OPAOptions) {
		o.LongPoll = time.Second
		o.Keys = map[string]local.OPAKey{key.KeyID(): {Algorithm: "RS256", Key: public}}
		o.Signing = &local.OPASigning{KeyID: key.KeyID(), Scope: "production"}
	}
	way := newTamperer(t, w.api)
	opa := w.startOPAWith(way.URL, verifying)
	opa.becomesWithin(5*time.Second, claims, "hello-skill", "allow")
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")

	way.tamper(t, func(files map[string][]byte) { // as if the owner admitted everybody
		for name, content := range files {
			files[name] = bytes.ReplaceAll(content, []byte(`"visibility":"team"`), []byte(`"visibility":"organization"`))
		}
	})
	w.as(w.admin).put("/resources/billing-system", resourceDocument("skill", "others", "team", "production")).want(t, 200)
	eventually(t, "two tampered bundles", func() bool { return way.tampered() >= 2 })
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "platform/access_denied" {
		t.Errorf("by a tampered bundle OPA says %s", got)
	}
	way.tamper(t, func(files map[string][]byte) { delete(files, ".signatures.json") })
	seen := way.tampered()
	eventually(t, "two unsigned bundles", func() bool { return way.tampered() >= seen+2 })
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "platform/access_denied" {
		t.Errorf("by an unsigned bundle OPA says %s", got)
	}
	way.tamper(t, nil)
	w.setVisibility("organization")
	opa.becomesWithin(10*time.Second, claims, "hello-skill", "allow") // it backs off from what it refused
}

// tamperer stands between OPA and a server and changes bundles on their way.
type tamperer struct {
	*httptest.Server
	changes chan func(map[string][]byte)
	counts  chan int
}

func newTamperer(t testing.TB, target string) *tamperer {
	t.Helper()
	p := &tamperer{changes: make(chan func(map[string][]byte), 1), counts: make(chan int, 1)}
	p.changes <- nil
	p.counts <- 0
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := must(http.NewRequestWithContext(r.Context(), r.Method, "http://"+target+r.URL.Path, nil))(t)
		q.Header = r.Header.Clone()
		q.Header.Set("Accept-Encoding", "identity")
		answer, err := client.Do(q)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if change := p.change(); change != nil && answer.StatusCode == http.StatusOK {
			body = repacked(t, body, change)
			p.counts <- <-p.counts + 1
		}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *tamperer) change() func(map[string][]byte) {
	change := <-p.changes
	p.changes <- change
	return change
}

func (p *tamperer) tamper(t testing.TB, change func(map[string][]byte)) {
	t.Helper()
	<-p.changes
	p.changes <- change
}

func (p *tamperer) tampered() int {
	n := <-p.counts
	p.counts <- n
	return n
}

// repacked is the archive with its files changed.
func repacked(t testing.TB, archive []byte, change func(map[string][]byte)) []byte {
	t.Helper()
	files, names := map[string][]byte{}, []string{}
	unzipped := must(gzip.NewReader(bytes.NewReader(archive)))(t)
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Error(err)
			return archive
		}
		files[header.Name] = must(io.ReadAll(r))(t)
		names = append(names, header.Name)
	}
	change(files)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range names {
		content, ok := files[name]
		if !ok {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(content) // to a buffer
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

// TestDiscoveryOfASignedScopeHoldsOPAToTheKey: OPA's boot configuration has the key,
// and discovery tells it to hold every part to that.
func TestDiscoveryOfASignedScopeHoldsOPAToTheKey(t *testing.T) {
	t.Parallel()
	keys := t.TempDir()
	key, public := bundleKey(t, keys, "default.pem")
	w, _, claims := tiered(t, "CREDENCE_BUNDLE_KEYS_DIR", keys)
	answer := w.bundleReader().get("/bundles/production/discovery/parts").want(t, 200)
	var config struct {
		Keys    any                                                 `json:"keys"`
		Bundles map[string]struct{ Signing struct{ KeyID string } } `json:"bundles"`
	}
	if err := json.Unmarshal(fileOf(t, answer.body, "data.json"), &config); err != nil {
		t.Fatal(err)
	}
	if config.Keys != nil || len(config.Bundles) != 18 {
		t.Errorf("discovery says %+v", config)
	}
	for name, b := range config.Bundles {
		if b.Signing.KeyID != key.KeyID() {
			t.Errorf("%s is held to the key %q", name, b.Signing.KeyID)
		}
	}
	opa := w.startOPAWith("http://"+w.api, func(o *local.OPAOptions) {
		o.Discovery = "bundles/production/discovery/parts"
		o.Keys = map[string]local.OPAKey{key.KeyID(): {Algorithm: "RS256", Key: public}}
		o.Signing = &local.OPASigning{KeyID: key.KeyID(), Scope: "production/discovery-parts"}
	})
	opa.becomesWithin(10*time.Second, claims, "hello-skill", "allow")
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
}

// fileOf is a file of a bundle.
func fileOf(t testing.TB, archive []byte, path string) (content []byte) {
	t.Helper()
	repacked(t, archive, func(files map[string][]byte) {
		for name, c := range files {
			if strings.TrimPrefix(name, "/") == path {
				content = c
			}
		}
	})
	return content
}
