package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// OPAOptions say how to run OPA with one bundle of a control plane.
type OPAOptions struct {
	Tools      Tools
	Port       int    // 0 picks a free one
	PortFlag   string // named when Port is taken; default "--opa-port"
	Dir        string // gets opa.log, opa.json and the token's file; "" for a temporary one that Stop removes
	ControlURL string // of the API that serves the bundle, such as "http://127.0.0.1:8080"
	Resource   string // path of the bundle there, such as "bundles/production"
	Discovery  string // path of a discovery bundle, which then says what is loaded; Resource is not used
	Token      string // bearer token that may read it
	PollEvery  time.Duration
	LongPoll   time.Duration // how long the server may hold a poll; 0: PollEvery says how often is asked
	Persist    bool          // keep the bundle in Dir for the next start
	Keys       map[string]OPAKey
	Signing    *OPASigning // what the bundle, and the discovery bundle, must be signed with; nil: they need not be
}

// OPAKey is a key that bundles are verified with.
type OPAKey struct {
	Algorithm string `json:"algorithm"`
	Key       string `json:"key"` // PEM
}

// OPASigning says by which key a bundle is signed and what for.
type OPASigning struct {
	KeyID string `json:"keyid"`
	Scope string `json:"scope,omitempty"`
}

// OPA is a running server. Its fields are not to be changed; its methods are safe
// for concurrent use.
type OPA struct {
	Address string // such as "http://127.0.0.1:8181"
	Log     string // path of its log

	proc *process
}

// StartOPA starts a server and waits until it answers; its bundle may come later
// (see Activated). ctx bounds the start alone. The error is one line: a
// *PortTakenError, or what OPA said last and where its log is.
func StartOPA(ctx context.Context, o OPAOptions) (*OPA, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startBound, errors.New("gave up after "+startBound.String()))
	defer cancel()
	if o.PortFlag == "" {
		o.PortFlag = "--opa-port"
	}
	if o.PollEvery <= 0 {
		o.PollEvery = time.Second
	}
	return withPort(o.Port, 1, o.PortFlag, func(port int) (*OPA, error) {
		o.Port = port
		return startOPA(ctx, o)
	})
}

func startOPA(ctx context.Context, o OPAOptions) (*OPA, error) {
	s, err := opaSpec(o)
	if err != nil {
		return nil, err
	}
	proc, err := start(s)
	if err != nil {
		return nil, err
	}
	opa := &OPA{Address: "http://" + net.JoinHostPort(loopback, strconv.Itoa(o.Port)), Log: s.log, proc: proc}
	if err := proc.await(ctx, func(ctx context.Context) bool { return opa.get(ctx, "/health") }); err != nil {
		return nil, errors.Join(err, proc.end())
	}
	return opa, nil
}

func opaSpec(o OPAOptions) (spec, error) {
	path, err := program(o.Tools.Dir, "bin", "opa")
	if err != nil {
		return spec{}, err
	}
	s := spec{
		name: "OPA", path: path, dir: o.Dir,
		onDeath: syscall.SIGKILL, // it keeps nothing
		stop:    []stopSignal{{syscall.SIGTERM, 10 * time.Second}},
	}
	if o.Dir == "" {
		if s.dir, err = os.MkdirTemp("", "credence-opa-"); err != nil {
			return spec{}, fmt.Errorf("make a directory for OPA: %w", err)
		}
		s.temporary = s.dir
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return spec{}, fmt.Errorf("make a directory for OPA: %w", err)
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return spec{}, fmt.Errorf("make a directory for OPA: %w", err)
	}
	s.log = filepath.Join(s.dir, "opa.log")
	token, config := filepath.Join(s.dir, "token"), filepath.Join(s.dir, "opa.json")
	content, err := json.MarshalIndent(opaConfig(o, token), "", "  ")
	if err != nil {
		return spec{}, fmt.Errorf("encode OPA's configuration: %w", err)
	}
	for file, b := range map[string][]byte{token: []byte(o.Token), config: content} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return spec{}, fmt.Errorf("write OPA's configuration: %w", err)
		}
	}
	s.env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir}
	s.args = []string{
		"run", "--server", "--disable-telemetry", "--log-format=json",
		"--addr=" + net.JoinHostPort(loopback, strconv.Itoa(o.Port)), "--config-file=" + config,
	}
	return s, nil
}

// opaConfig is what an OPA needs to enforce the bundle: the token stays in a file,
// which OPA reads anew for each request.
func opaConfig(o OPAOptions, tokenFile string) map[string]any {
	seconds := max(1, int(o.PollEvery.Seconds()))
	polling := map[string]any{"min_delay_seconds": seconds, "max_delay_seconds": seconds}
	if o.LongPoll > 0 {
		polling["long_polling_timeout_seconds"] = max(1, int(o.LongPoll.Seconds()))
	}
	config := map[string]any{
		"services": map[string]any{"credence": map[string]any{
			"url":         o.ControlURL,
			"credentials": map[string]any{"bearer": map[string]any{"token_path": tokenFile}},
		}},
		"persistence_directory": filepath.Dir(tokenFile),
	}
	if len(o.Keys) > 0 {
		config["keys"] = o.Keys
	}
	bundle := map[string]any{"service": "credence", "resource": o.Resource, "persist": o.Persist, "polling": polling}
	if o.Signing != nil {
		bundle["signing"] = o.Signing
	}
	if o.Discovery == "" {
		config["bundles"] = map[string]any{"credence": bundle}
		return config
	}
	discovery := map[string]any{"service": "credence", "resource": o.Discovery, "polling": polling}
	if o.Signing != nil {
		discovery["signing"] = o.Signing
	}
	config["discovery"] = discovery
	return config
}

// Activated reports whether OPA has activated its bundle.
func (o *OPA) Activated(ctx context.Context) bool { return o.get(ctx, "/health?bundles") }

func (o *OPA) get(ctx context.Context, path string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Address+path, nil)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Done is closed once the server is gone, asked or not.
func (o *OPA) Done() <-chan struct{} { return o.proc.done }

// Err says in one line how the server ended; nil while it lives.
func (o *OPA) Err() error { return o.proc.err() }

// Stop ends the server and waits until it is gone. It returns an error when the
// server had to be killed.
func (o *OPA) Stop() error { return o.proc.end() }
