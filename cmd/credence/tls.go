package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/config"
)

// serverTLS returns the API's TLS configuration, or nil when it has none. The
// certificate is read again when its file changes, so that renewing it needs no
// restart.
func serverTLS(c config.TLS) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	pair := &keyPair{certFile: c.CertFile, keyFile: c.KeyFile}
	if _, err := pair.get(nil); err != nil {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get, NextProtos: []string{"h2", "http/1.1"}}
	if c.ClientCAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read the client authorities: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.ClientCAFile)
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	return t, nil
}

// keyPair is a certificate that follows its file. It is safe for concurrent use.
type keyPair struct {
	certFile, keyFile string

	mu       sync.Mutex
	modified time.Time
	cert     *tls.Certificate
}

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.certFile)
	if err == nil && k.cert != nil && info.ModTime().Equal(k.modified) {
		return k.cert, nil
	}
	fresh, loadErr := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err = errors.Join(err, loadErr); err != nil {
		if k.cert != nil {
			return k.cert, nil // half-written files: serve the last good pair
		}
		return nil, fmt.Errorf("load the API's certificate: %w", err)
	}
	k.cert, k.modified = &fresh, info.ModTime()
	return k.cert, nil
}
