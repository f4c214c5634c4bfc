package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/testdb"
)

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), next: 2}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key))(t)
	a.cert = must(x509.ParseCertificate(der))(t)
	return a
}

// issue returns a certificate for this machine, and its key, in PEM. Each has
// the next serial number, beginning with 2.
func (a *authority) issue() (cert, key string) {
	a.t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	a.next++
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key))(a.t)
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private))(a.t))
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// TestMutualTLS: only callers with a certificate of the authority get through,
// and a certificate that was replaced on disk is served without a restart.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	w := newLand(t)
	w.dsn = testdb.DSN(t)
	w.prepare()
	ca := newAuthority(t)
	cert, key := ca.issue() // 2
	certFile, keyFile := w.file("api.crt", cert), w.file("api.key", key)
	w.start("CREDENCE_TLS_CERT_FILE", certFile, "CREDENCE_TLS_KEY_FILE", keyFile,
		"CREDENCE_TLS_CLIENT_CA_FILE", w.file("ca.crt", inPEM("CERTIFICATE", ca.cert.Raw)))
	ours := must(tls.X509KeyPair(pair(ca.issue())))(t)                // 3
	theirs := must(tls.X509KeyPair(pair(newAuthority(t).issue())))(t) // of another authority

	for name, certificates := range map[string][]tls.Certificate{"none": nil, "another authority's": {theirs}} {
		if _, err := tlsGet(w, &tls.Config{RootCAs: ca.pool(), Certificates: certificates}); err == nil {
			t.Errorf("a caller with %s certificate got an answer", name)
		}
	}
	if _, err := tlsGet(w, &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ours}, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 got an answer")
	}
	mutual := &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ours}}
	if serial := must(tlsGet(w, mutual))(t); serial != 2 {
		t.Errorf("certificate %d, want 2", serial)
	}
	cert, key = ca.issue() // 4
	w.file("api.key", key)
	if serial := must(tlsGet(w, mutual))(t); serial != 2 {
		t.Errorf("with half a pair replaced: certificate %d, want 2", serial)
	}
	w.file("api.crt", cert)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(certFile, later, later); err != nil { // coarse clocks
		t.Fatal(err)
	}
	if serial := must(tlsGet(w, mutual))(t); serial != 4 {
		t.Errorf("after it was replaced: certificate %d, want 4", serial)
	}
}

func pair(cert, key string) (certPEM, keyPEM []byte) { return []byte(cert), []byte(key) }

// tlsGet reads the API's health on a new connection and returns the serial
// number of its certificate.
func tlsGet(w *world, c *tls.Config) (int64, error) {
	transport := &http.Transport{TLSClientConfig: c}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", "https://"+w.api+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	answer, err := (&http.Client{Transport: transport, Timeout: bound}).Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
}

// TestInvariant_D3_OtherHostsAreNotServed: a page elsewhere cannot reach the API
// or the emulator by rebinding its name.
func TestInvariant_D3_OtherHostsAreNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREDENCE_ALLOWED_HOSTS", "127.0.0.1,localhost")
	dev := w.as(w.developer)
	for _, host := range []string{"evil.example.com", "evil.example.com:80", "127.0.0.1.evil.example.com", "169.254.169.254"} {
		for _, path := range []string{"/agents", "/healthz", "/openapi.yaml", "/nowhere"} {
			dev.with("Host", host).get(path).wantRefused(t, 421, "unknown_host")
		}
		r := must(http.NewRequestWithContext(t.Context(), "GET", w.issuer()+".well-known/jwks.json", nil))(t)
		r.Host = host
		send(t, client, r).want(t, 421)
	}
	for _, host := range []string{"localhost", "localhost:80", "127.0.0.1"} {
		dev.with("Host", host).get("/agents").want(t, 200)
	}
}
