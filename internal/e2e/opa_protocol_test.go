package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// What OPA's bundle protocol asks of a server, seen between a real OPA and ours.
func TestOPAPollsAsItsProtocolSays(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	opa := w.startOPA(r.URL)
	eventually(t, "a poll that changed nothing", func() bool {
		polls := r.polls()
		return polls[len(polls)-1].status == 304
	})
	polls := r.polls()
	first, last := polls[0], polls[len(polls)-1]
	if first.ifNoneMatch != "" || first.status != 200 || first.contentType != "application/gzip" || first.contentEncoding != "" || !strings.HasPrefix(first.etag, `"production.`) {
		t.Errorf("the first poll: %+v", first)
	}
	if !first.bearer || !strings.HasPrefix(first.prefer, "modes=snapshot") {
		t.Error("the first poll carries no bearer token, or does not say what it takes")
	}
	if size := len(w.bundleReader().get("/bundles/production").want(t, 200).body); first.length != int64(size) {
		t.Errorf("the first poll is told of %d bytes, and the bundle has %d", first.length, size)
	}
	if last.ifNoneMatch != first.etag || last.etag != first.etag {
		t.Errorf("the poll that changed nothing: %+v, want the ETag %s", last, first.etag)
	}

	// Whatever is answered in our place, OPA keeps deciding by what it has.
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "hello-skill", "allow")
	var faults atomic.Int64
	for name, fault := range map[string]http.HandlerFunc{
		"500":     func(a http.ResponseWriter, _ *http.Request) { a.WriteHeader(500) },
		"404":     func(a http.ResponseWriter, _ *http.Request) { a.WriteHeader(404) },
		"garbage": func(a http.ResponseWriter, _ *http.Request) { _, _ = a.Write([]byte("no bundle")) },
	} {
		before := faults.Load()
		counted := http.HandlerFunc(func(a http.ResponseWriter, q *http.Request) { fault(a, q); faults.Add(1) })
		r.fault.Store(&counted)
		eventually(t, "two polls that fail by "+name, func() bool { return faults.Load() >= before+2 })
		if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "allow" {
			t.Errorf("while the server answers %s OPA says %s", name, got)
		}
	}
	r.fault.Store(nil)
	w.as(w.admin).put("/resources/hello-skill", resourceDocument("skill", "platform", "team", "production")).want(t, 200)
	eventually(t, "the change after the faults", func() bool { return codesOf(opa.decide(claims, "POST", "hello-skill")) == "platform/access_denied" })
}

// Scopes, conditional requests and hostile fields of the bundle route.
func TestBundleRouteKeepsScopesApartAndReadsTags(t *testing.T) {
	t.Parallel()
	w := newRegistry(t, "CREDENCE_BUNDLE_HOLD", "200ms")
	all := w.as(w.token("test|all", []string{"bundles:read"}))
	production := w.as(w.token("test|production", []string{"bundles:read:production"}))

	bundle := production.get("/bundles/production").want(t, 200)
	tag := bundle.header.Get("ETag")
	production.get("/bundles/staging").wantRefused(t, 403, "permission_denied")
	production.get("/bundles/production-2").wantRefused(t, 403, "permission_denied")
	w.as(w.developer).get("/bundles/production").wantRefused(t, 403, "permission_denied")
	all.get("/bundles/staging").want(t, 200)
	all.get("/bundles/nowhere").wantRefused(t, 404, "not_found")
	all.get("/bundles/..%2Fproduction").wantRefused(t, 404, "not_found")

	later := fmt.Sprintf(`"production.%s.999999999.00000000"`, strings.Split(tag, ".")[1])
	for name, tt := range map[string]struct {
		ifNoneMatch string
		status      int
		etag        string
	}{
		"the present state":           {tag, 304, tag},
		"weak":                        {"W/" + tag, 304, tag},
		"a list with superseded ones": {tag + `, "production.0123456789abcdef.1.00000000", "x"`, 304, tag},
		"another scope's":             {strings.Replace(tag, "production", "staging", 1), 200, tag},
		"another epoch's":             {`"production.0123456789abcdef.999999999.00000000"`, 200, tag},
		"a later state than any":      {later, 304, later},
		"ten kilobytes of others":     {strings.TrimSuffix(strings.Repeat(`"production.0.1.00000000", `, 370), ", "), 200, tag},
		"anything":                    {"*", 304, tag},
	} {
		got := production.with("If-None-Match", tt.ifNoneMatch).get("/bundles/production")
		if got.status != tt.status || got.header.Get("ETag") != tt.etag {
			t.Errorf("%s: %d with ETag %s, want %d with %s", name, got.status, got.header.Get("ETag"), tt.status, tt.etag)
		}
	}
	production.with("If-None-Match", "no tag").get("/bundles/production").wantRefused(t, 400, "invalid_parameter")
	head := production.do("HEAD", "/bundles/production", "", nil).want(t, 200)
	if head.header.Get("ETag") != tag || head.header.Get("Content-Length") != fmt.Sprint(len(bundle.body)) || len(head.body) > 0 {
		t.Errorf("HEAD: %v, want the ETag %s and %d bytes", head.header, tag, len(bundle.body))
	}
	unchanged := production.with("If-None-Match", tag).get("/bundles/production").want(t, 304)
	for _, name := range []string{"Cache-Control", "Vary", "Age"} {
		for what, answer := range map[string]response{"the bundle": bundle, "HEAD": head, "304": unchanged} {
			if answer.header.Get(name) == "" {
				t.Errorf("%s lacks %s", what, name)
			}
		}
	}
}
