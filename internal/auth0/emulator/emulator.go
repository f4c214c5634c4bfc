package emulator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Emulator is one emulated tenant. It is an http.Handler and safe for
// concurrent use. Its state lives in memory and ends with it.
type Emulator struct {
	opts            Options
	audience        string // of the Management API
	loginClientID   string // azp of MintUserToken
	hash            hasher
	managementLimit *limiter
	tokenLimit      *limiter
	actionTimeLimit time.Duration
	mux             *http.ServeMux
	calls           *callLog
	assertions      replays

	keys keyring

	mu              sync.RWMutex // guards what follows
	clients         table[*client]
	grants          table[*grant]
	resourceServers table[*resourceServer]
	actions         table[*action]
	bindings        map[string][]binding // by trigger, in the order in which they run
}

// actionTimeLimit bounds one Action. Auth0 allows 20 s for network calls, which
// Actions cannot make here.
const actionTimeLimit = 2 * time.Second

// New returns a tenant that holds the Management API and one client with all of
// its scopes. It fails when the options are wrong.
func New(o Options) (*Emulator, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Emulator{
		opts:            o,
		audience:        o.managementAudience(),
		loginClientID:   newClientID(),
		hash:            newHasher(),
		managementLimit: newLimiter(o.ManagementRate),
		tokenLimit:      newLimiter(o.TokenRate),
		actionTimeLimit: actionTimeLimit,
		calls:           newCallLog(maxCalls),
		bindings:        map[string][]binding{},
	}
	e.keys.add(o.SigningKey)
	e.bootstrap()
	for pattern := range o.Latencies {
		if !slices.ContainsFunc(e.managementRoutes(), func(r managementRoute) bool { return r.pattern == pattern }) {
			return nil, fmt.Errorf("there is no endpoint %q to be slow", pattern)
		}
	}
	e.mux = e.routes()
	return e, nil
}

// ManagementCredentials returns the credentials of the bootstrap client, which
// holds every management scope.
func (e *Emulator) ManagementCredentials() (clientID, clientSecret string) {
	return e.opts.ManagementClientID, e.opts.ManagementClientSecret
}

// bootstrap makes what a new tenant has: the Management API and a client for it.
func (e *Emulator) bootstrap() {
	now := e.opts.Now()
	api := &resourceServer{id: newObjectID(), system: true, doc: document{
		"identifier":           e.audience,
		"name":                 "Auth0 Management API",
		"scopes":               scopeDocuments(managementScopes),
		"signing_alg":          signingAlg,
		"allow_offline_access": false,
		"token_lifetime":       float64(86400),
	}}
	e.resourceServers.put(api.id, api)

	c := &client{id: e.opts.ManagementClientID, bootstrap: true, doc: document{
		"name":        "Credence (management)",
		"app_type":    "non_interactive",
		"grant_types": []any{grantClientCredentials},
	}}
	c.secrets = secrets{}.rotated(e.hash.sum(e.opts.ManagementClientSecret), now)
	e.clients.put(c.id, c)

	g := &grant{id: newGrantID(), clientID: c.id, audience: e.audience, bootstrap: true, doc: document{
		"scope":        anySlice(managementScopes),
		"subject_type": subjectClient,
	}}
	e.grants.put(g.id, g)
}

// ServeHTTP answers a request and records it for Calls.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := &Call{At: e.opts.Now(), Method: r.Method, Path: r.URL.Path}
	rec := &callRecorder{ResponseWriter: w, log: e.calls, call: call}
	if !e.hostAllowed(r.Host) {
		writeError(rec, apiErrorf(http.StatusMisdirectedRequest, "host_not_allowed",
			"This emulator does not serve the host of the request; add it to AllowedHosts."))
		return
	}
	e.mux.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), callKey{}, call)))
}

type callKey struct{}

// note puts the client that a request is about into the log of calls.
func note(r *http.Request, c *client) {
	if call, ok := r.Context().Value(callKey{}).(*Call); ok {
		call.ClientID, call.AgentID = c.id, c.metadata()["agent_id"]
	}
}

// hostAllowed reports whether host, which may carry a port, is one of ours.
func (e *Emulator) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return slices.ContainsFunc(e.opts.AllowedHosts, func(allowed string) bool {
		return strings.EqualFold(allowed, name)
	})
}

// callRecorder logs the call when its status is sent, so that a client that has
// its answer finds its call in the log. Every handler sends a status.
type callRecorder struct {
	http.ResponseWriter
	log  *callLog
	call *Call
}

func (c *callRecorder) WriteHeader(status int) {
	c.call.Status = status
	c.log.add(*c.call)
	c.ResponseWriter.WriteHeader(status)
}
