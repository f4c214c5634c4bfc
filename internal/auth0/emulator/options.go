package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Options says what tenant to emulate. Only Issuer is required.
type Options struct {
	// Issuer is the tenant's URL with a trailing slash, such as
	// "http://127.0.0.1:8085/". The audience of the Management API is
	// Issuer + "api/v2/".
	Issuer string

	// AllowedHosts are the host names, without port, that are served. Requests
	// for other hosts are answered with 421, which stops DNS rebinding. The
	// default is 127.0.0.1, localhost and ::1.
	AllowedHosts []string

	// ManagementClientID and ManagementClientSecret are the credentials of a
	// client that exists from the start and holds every management scope. They
	// are generated when empty.
	ManagementClientID     string
	ManagementClientSecret string

	// SigningKey is the first key that signs tokens, of at least 2048 bits. It is
	// generated when nil, which takes a tenth of a second: suites that start many
	// tenants may share one.
	SigningKey *rsa.PrivateKey

	// Now is the clock; the default is time.Now.
	Now func() time.Time

	// Latency is added to each request to the Management API. Latencies holds
	// those of endpoints with one of their own, by method and path after /api/v2/,
	// such as "POST clients" or "DELETE clients/{id}".
	Latency   time.Duration
	Latencies map[string]time.Duration

	// ManagementRate and TokenRate limit all callers together, as Auth0 limits a
	// tenant. The zero Rate is no limit.
	ManagementRate Rate
	TokenRate      Rate

	// MaxClients and MaxGrants are how many clients and client grants may be
	// made; the bootstrap client and its grant do not count. 0 is no limit.
	MaxClients int
	MaxGrants  int

	// SecretOverlap is how long the old secret stays valid after rotate-secret;
	// the default is 30 s. A negative value ends it at once.
	SecretOverlap time.Duration
}

// Rate is a token bucket: Burst requests at once, refilled at PerSecond.
type Rate struct {
	PerSecond int
	Burst     int
}

// withDefaults fills what the caller left out and checks the rest.
func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return o, fmt.Errorf("parsing the issuer: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || o.Issuer != u.Scheme+"://"+u.Host+"/" {
		return o, fmt.Errorf("issuer %q is not a scheme (http or https), a host and a slash", o.Issuer)
	}
	for _, r := range []Rate{o.ManagementRate, o.TokenRate} {
		if r != (Rate{}) && (r.PerSecond <= 0 || r.Burst <= 0) {
			return o, errors.New("a rate needs both PerSecond and Burst above zero")
		}
	}
	if len(o.AllowedHosts) == 0 {
		o.AllowedHosts = []string{"127.0.0.1", "localhost", "::1"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SecretOverlap == 0 {
		o.SecretOverlap = 30 * time.Second
	}
	if o.SigningKey == nil {
		if o.SigningKey, err = newSigningKey(); err != nil {
			return o, err
		}
	}
	if o.SigningKey.N.BitLen() < signingKeyBits {
		return o, fmt.Errorf("the signing key has fewer than %d bits", signingKeyBits)
	}
	if o.ManagementClientID == "" {
		o.ManagementClientID = newClientID()
	}
	if o.ManagementClientSecret == "" {
		o.ManagementClientSecret = newSecret()
	}
	return o, nil
}

const signingKeyBits = 2048

func newSigningKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, signingKeyBits)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return key, nil
}

// managementAudience is the identifier of the Management API.
func (o Options) managementAudience() string { return o.Issuer + "api/v2/" }
