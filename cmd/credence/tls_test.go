package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/config"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a pair for 127.0.0.1 with this serial number into dir.
func (a *authority) issue(dir string, serial int64, notAfter time.Time) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: notAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(a.t, certFile, "CERTIFICATE", der)
	writePEM(a.t, keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

func (a *authority) mustIssue(serial int64) config.TLS {
	a.t.Helper()
	cert, key := a.issue(a.t.TempDir(), serial, time.Now().Add(time.Hour))
	return config.TLS{CertFile: cert, KeyFile: key}
}

// serveTLS serves nothing but 204 with c, as the server would.
func serveTLS(t *testing.T, c config.TLS) (address string) {
	t.Helper()
	tlsConfig, err := serverTLS(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(t.Context(), "127.0.0.1:0", "--listen")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		TLSConfig: tlsConfig, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serveUntilDone(ctx, srv, l, time.Minute, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "https://" + l.Addr().String()
}

// trust is the configuration of a client that trusts servers of a.
func (a *authority) trust() *tls.Config {
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	return c
}

// caller is a client of its own connection each time.
func (a *authority) caller(change func(*tls.Config)) *http.Client {
	c := a.trust()
	change(c)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
}

// shown returns the answer's protocol and the serial number of the server's
// certificate.
func shown(c *http.Client, address string) (proto string, serial int64, err error) {
	response, err := c.Get(address)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	return response.Proto, response.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
}

func anybody(*tls.Config) {}

func TestTheAPISpeaksTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	address := serveTLS(t, ca.mustIssue(7))
	proto, serial, err := shown(ca.caller(anybody), address)
	if err != nil || serial != 7 || proto != "HTTP/2.0" {
		t.Errorf("%s with certificate %d, %v; want HTTP/2.0 with 7", proto, serial, err)
	}
	for version, spoken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := ca.trust()
		c.MinVersion, c.MaxVersion = version, version
		conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "https://"))
		if (err == nil) != spoken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close() // nothing was sent
		}
	}
}

func TestWithoutACertificateThereIsNoTLS(t *testing.T) {
	t.Parallel()
	if c, err := serverTLS(config.TLS{}); c != nil || err != nil {
		t.Errorf("serverTLS() = %v, %v", c, err)
	}
}

func TestMutualTLSAdmitsCallersOfItsAuthoritiesAlone(t *testing.T) {
	t.Parallel()
	ca, callers, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	c := ca.mustIssue(1)
	c.ClientCAFile = callers.file
	address := serveTLS(t, c)
	with := func(from *authority, notAfter time.Time) func(*tls.Config) {
		pair, err := tls.LoadX509KeyPair(from.issue(t.TempDir(), 2, notAfter))
		if err != nil {
			t.Fatal(err)
		}
		return func(c *tls.Config) {
			// Sent whatever authorities the server names.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
	}
	for name, tc := range map[string]struct {
		change   func(*tls.Config)
		admitted bool
	}{
		"of its authority":      {with(callers, time.Now().Add(time.Hour)), true},
		"without a certificate": {anybody, false},
		"of another authority":  {with(strangers, time.Now().Add(time.Hour)), false},
		"of the server's own":   {with(ca, time.Now().Add(time.Hour)), false},
		"expired":               {with(callers, time.Now().Add(-time.Hour)), false},
	} {
		if _, _, err := shown(ca.caller(tc.change), address); (err == nil) != tc.admitted {
			t.Errorf("a caller %s: %v", name, err)
		}
	}
}

// A renewed certificate is served from the next connection on. While its two
// files do not fit, the last good pair is.
func TestARenewedCertificateIsServedWithoutARestart(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	c := ca.mustIssue(1)
	address := serveTLS(t, c)
	serves := func(what string, want int64) {
		t.Helper()
		if _, serial, err := shown(ca.caller(anybody), address); serial != want || err != nil {
			t.Errorf("%s: certificate %d, %v; want %d", what, serial, err, want)
		}
	}
	// Every write is a second later, however coarse the file system's clock.
	written := time.Now()
	write := func(file, from string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		written = written.Add(time.Second)
		if err := os.Chtimes(file, written, written); err != nil {
			t.Fatal(err)
		}
	}
	second, third := ca.mustIssue(2), ca.mustIssue(3)
	nothing := filepath.Join(t.TempDir(), "nothing")
	writePEM(t, nothing, "NOTHING", nil)

	serves("at first", 1)
	write(c.CertFile, second.CertFile)
	serves("with the new certificate and the old key", 1)
	write(c.KeyFile, second.KeyFile)
	serves("with both", 2)
	write(c.CertFile, nothing)
	serves("with half a certificate", 2)
	write(c.KeyFile, third.KeyFile)
	serves("with the next key", 2)
	if err := os.Remove(c.CertFile); err != nil {
		t.Fatal(err)
	}
	serves("without a certificate", 2)
	write(c.CertFile, third.CertFile)
	serves("with the next certificate", 3)
}

func TestACertificateMayBeRenewedWhileConnectionsAreMade(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.issue(dir, 1, time.Now().Add(time.Hour))
	pair := &keyPair{certFile: cert, keyFile: key}
	if _, err := pair.get(nil); err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if c, err := pair.get(nil); c == nil || err != nil {
					t.Errorf("get() = %v, %v", c, err)
					return
				}
			}
		})
	}
	for serial := range int64(20) {
		ca.issue(dir, serial+2, time.Now().Add(time.Hour))
	}
	close(done)
	callers.Wait()
}

func TestTLSThatCannotWorkIsAFaultAtTheStart(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good, other := ca.mustIssue(1), ca.mustIssue(2)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, c := range map[string]config.TLS{
		"no certificate":          {CertFile: missing, KeyFile: good.KeyFile},
		"no key":                  {CertFile: good.CertFile, KeyFile: missing},
		"another's key":           {CertFile: good.CertFile, KeyFile: other.KeyFile},
		"a key for a certificate": {CertFile: good.KeyFile, KeyFile: good.KeyFile},
		"no authorities":          {CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: missing},
		"authorities without one": {CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: good.KeyFile},
	} {
		tlsConfig, err := serverTLS(c)
		if err == nil || tlsConfig != nil {
			t.Errorf("with %s: %v", name, err)
			continue
		}
		if text := err.Error(); strings.Contains(text, "PRIVATE") {
			t.Errorf("with %s the error shows a key: %s", name, text)
		}
	}
}
