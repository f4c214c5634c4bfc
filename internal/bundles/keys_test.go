package bundles_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	opakeys "github.com/open-policy-agent/opa/v1/keys"

	"github.com/credenceproject/credence/internal/bundles"
)

// open opens the keys of the directory. What they log is in the buffer.
func open(t *testing.T, dir string) (*bundles.Keys, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	keys, err := bundles.OpenKeys(t.Context(), dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return keys, &log
}

// keyOf is the id of the key that signs the scope: "" for none, or the code of an
// error.
func keyOf(k *bundles.Keys, scope string) string {
	s, err := k.Signer(scope)
	switch {
	case err != nil:
		return code(err)
	case s == nil:
		return ""
	}
	return s.KeyID()
}

const unusable = "signing_key_unusable"

func TestEachScopeIsSignedByItsOwnKeyOrTheDefault(t *testing.T) {
	t.Parallel()
	production, other := parseKey(t, rsaKey()).KeyID(), parseKey(t, edKey()).KeyID()
	keys := openKeys(t, map[string][]byte{"production.pem": rsaKey(), "default.pem": edKey(), "README": []byte("no key")})
	if diff := cmp.Diff([]string{production, other}, []string{keyOf(keys, "production"), keyOf(keys, "staging")}); diff != "" {
		t.Errorf("with a default (-want +got):\n%s", diff)
	}
	keys = openKeys(t, map[string][]byte{"production.pem": rsaKey()})
	if diff := cmp.Diff([]string{production, ""}, []string{keyOf(keys, "production"), keyOf(keys, "staging")}); diff != "" {
		t.Errorf("without one (-want +got):\n%s", diff)
	}
	if got := keyOf(nil, "production"); got != "" {
		t.Errorf("no keys: signed by %s", got)
	}
	if _, err := bundles.OpenKeys(t.Context(), filepath.Join(t.TempDir(), "missing"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a directory that is not there is taken for one without keys")
	}
}

// Nothing that happens to the files takes a signature off a bundle, or takes a bundle
// away that there was.
func TestABrokenKeyFileLeavesTheLastGoodKey(t *testing.T) {
	t.Parallel()
	own, first, next := parseKey(t, rsaKey()).KeyID(), parseKey(t, edKey()).KeyID(), parseKey(t, otherEdKey()).KeyID()
	tests := []struct {
		name                string
		start               map[string][]byte
		change              func(t *testing.T, dir string)
		production, staging string
		said                string // by the log
	}{
		{
			"replaced", map[string][]byte{"production.pem": rsaKey(), "default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "default.pem", otherEdKey()) }, own, next, next,
		},
		{
			"cut short", map[string][]byte{"production.pem": rsaKey(), "default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "production.pem", rsaKey()[:500]) }, own, first, "production.pem",
		},
		{
			"emptied", map[string][]byte{"default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "default.pem", nil) }, first, first, "default.pem",
		},
		{
			"removed", map[string][]byte{"production.pem": rsaKey(), "default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); remove(t, filepath.Join(dir, "production.pem")) }, own, first, "gone",
		},
		{
			"all removed", map[string][]byte{"default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); remove(t, dir) }, first, first, "list the keys",
		},
		{
			"one of its own that is broken", map[string][]byte{"default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "production.pem", []byte("not yet")) }, first, first, "production.pem",
		},
		{
			"one of its own", map[string][]byte{"default.pem": edKey()},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "production.pem", rsaKey()) }, own, first, own,
		},
		{
			"broken at the start", map[string][]byte{"production.pem": []byte("not yet"), "default.pem": edKey()},
			func(*testing.T, string) {}, unusable, first, "production.pem",
		},
		{
			"broken at the start, and then gone", map[string][]byte{"production.pem": []byte("not yet")},
			func(t *testing.T, dir string) { t.Helper(); remove(t, filepath.Join(dir, "production.pem")) }, unusable, "", "gone",
		},
		{
			"broken at the start and mended", map[string][]byte{"default.pem": []byte("not yet")},
			func(t *testing.T, dir string) { t.Helper(); write(t, dir, "default.pem", edKey()) }, first, first, first,
		},
		{
			"a name that is none", map[string][]byte{"Production.pem": rsaKey()},
			func(*testing.T, string) {}, "", "", "Production.pem",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := keyDir(t, tt.start)
			keys, log := open(t, dir)
			tt.change(t, dir)
			keys.Reload(t.Context())
			if diff := cmp.Diff([]string{tt.production, tt.staging}, []string{keyOf(keys, "production"), keyOf(keys, "staging")}); diff != "" {
				t.Errorf("signed by (-want +got):\n%s", diff)
			}
			if !strings.Contains(log.String(), tt.said) {
				t.Errorf("the log does not say %q: %s", tt.said, log)
			}
			log.Reset()
			keys.Reload(t.Context())
			if log.Len() > 0 {
				t.Errorf("said again: %s", log)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// Who waits for a new key hears of it, and of nothing else.
func TestChangedKeysAreTold(t *testing.T) {
	t.Parallel()
	dir := keyDir(t, map[string][]byte{"default.pem": edKey()})
	synctest.Test(t, func(t *testing.T) {
		keys, _ := open(t, dir)
		go keys.Run(t.Context(), time.Second)
		changed := keys.Changed()
		quiet := func(what string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			select {
			case <-changed:
				t.Errorf("%s: told of a change", what)
			default:
			}
		}
		quiet("no change")
		write(t, dir, "default.pem", []byte("broken"))
		quiet("broken")
		write(t, dir, "default.pem", otherEdKey())
		start := time.Now()
		<-changed
		if took := time.Since(start); took > time.Second || keyOf(keys, "production") != parseKey(t, otherEdKey()).KeyID() {
			t.Errorf("told after %s, signed by %s", took, keyOf(keys, "production"))
		}
	})
}

// The key of RFC 8037, appendix A.1, has the thumbprint of appendix A.3; that of an
// RSA key is as RFC 7638 spells it out.
func TestAKeysIDIsItsThumbprint(t *testing.T) {
	t.Parallel()
	const rfc8037 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"
	if id := parseKey(t, []byte(rfc8037)).KeyID(); id != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("key id = %s", id)
	}
	block, _ := pem.Decode(rsaKey())
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	modulus := base64.RawURLEncoding.EncodeToString(parsed.(*rsa.PrivateKey).N.Bytes()) //nolint:forcetypeassert // it is one
	sum := sha256.Sum256([]byte(`{"e":"AQAB","kty":"RSA","n":"` + modulus + `"}`))
	if id, want := parseKey(t, rsaKey()).KeyID(), base64.RawURLEncoding.EncodeToString(sum[:]); id != want {
		t.Errorf("key id = %s, want %s", id, want)
	}
}

// What an OPA cannot be configured with we say when it is loaded. When OPA has learnt
// it, this fails, and nothing need be said any more.
func TestAKeyThatNoOPACanBeConfiguredWithIsToldOf(t *testing.T) {
	t.Parallel()
	for algorithm, text := range map[string][]byte{"RS256": rsaKey(), "EdDSA": edKey()} {
		_, log := open(t, keyDir(t, map[string][]byte{"default.pem": text}))
		if told := strings.Contains(log.String(), "level=WARN"); told == opakeys.IsSupportedAlgorithm(algorithm) {
			t.Errorf("%s: told = %t", algorithm, told)
		}
	}
}

// What is no key to sign with is refused in words that do not show it.
func TestWhatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	weakKey := pkcs8(weak, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	curveKey := pkcs8(curve, err)
	block, _ := pem.Decode(rsaKey())
	public, err := x509.MarshalPKIXPublicKey(&weak.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text []byte
		said string
	}{
		"nothing":           {nil, "no PEM"},
		"text":              {[]byte("hunter2"), "no PEM"},
		"a weak key":        {weakKey, "1024 bits"},
		"a curve":           {curveKey, "neither RSA nor Ed25519"},
		"PKCS #1":           {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(weak)}), "PKCS #8"},
		"a public key":      {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "PUBLIC KEY"},
		"two keys":          {append(bytes.Clone(rsaKey()), edKey()...), "more than one"},
		"a key cut short":   {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes[:200]}), "no private key"},
		"a key of no bytes": {[]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"), "no private key"},
	} {
		if _, err := bundles.ParseKey(tt.text); err == nil || !strings.Contains(err.Error(), tt.said) {
			t.Errorf("%s: error = %v, want one that says %q", name, err, tt.said)
		} else if len(tt.text) > 0 && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shown: %v", name, err)
		}
	}
	if _, err := bundles.ParseKey(edKey()); err != nil {
		t.Error(err)
	}
}
