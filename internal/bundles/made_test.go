package bundles_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// made is the bundle of that name at v.
func made(t fatal, m *bundles.Maker, v *snapshot.View, name registry.ScopePart) *bundles.Bundle {
	t.Helper()
	b, err := m.Bundle(v, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if tag, err := m.Tag(v, name); err != nil || tag != b.Tag {
		t.Fatalf("%s: Tag() = %s, %v; the bundle's is %s", name, tag, err, b.Tag)
	}
	if d := sha256.Sum256([]byte(bytesOf(t, b))); d != b.Digest {
		t.Fatalf("%s: digest %s, SHA-256 %x", name, b.Digest, d)
	}
	return b
}

// of is a bundle's name: scope/part.
func of(scope, part string) registry.ScopePart { return registry.ScopePart{Scope: scope, Part: part} }

// namesOf are the names of all bundles of a scope in parts.
func namesOf(scope string) []registry.ScopePart {
	names := []registry.ScopePart{of(scope, ""), of(scope, bundles.Discovery), of(scope, bundles.DiscoveryOfParts)}
	for _, part := range registry.Parts {
		names = append(names, of(scope, part))
	}
	return names
}

// accepting is a cache of layers' modules that are in force when they parse.
func accepting() *layers.Cache {
	return layers.NewCache(func(key registry.LayerKey, source string) (*ast.Module, error) {
		return ast.ParseModule(key.Module(), source)
	}, slog.New(slog.DiscardHandler))
}

// Keys for the tests. Only that of RSA is expensive to make.
var (
	rsaKey     = sync.OnceValue(func() []byte { k, err := rsa.GenerateKey(rand.Reader, 2048); return pkcs8(k, err) })
	edKey      = sync.OnceValue(newEdKey)
	otherEdKey = sync.OnceValue(newEdKey)
)

func newEdKey() []byte {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return pkcs8(k, err)
}

func pkcs8(key any, err error) []byte {
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// keyDir is a directory with these keys.
func keyDir(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, dir, name, content)
	}
	return dir
}

func write(t fatal, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openKeys(t testing.TB, files map[string][]byte) *bundles.Keys {
	t.Helper()
	k, err := bundles.OpenKeys(t.Context(), keyDir(t, files), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signers are Keys by their algorithm.
func signers(t testing.TB) map[string]*bundles.Keys {
	t.Helper()
	return map[string]*bundles.Keys{
		"RS256":    openKeys(t, map[string][]byte{"default.pem": rsaKey()}),
		"EdDSA":    openKeys(t, map[string][]byte{"default.pem": edKey()}),
		"unsigned": nil,
	}
}
