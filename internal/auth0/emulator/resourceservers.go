package emulator

import (
	"maps"
	"net/http"
	"slices"
)

const signingAlg = "RS256"

// The dialects of access tokens.
const (
	dialectAuth0        = "access_token"
	dialectAuth0Authz   = "access_token_authz"
	dialectRFC9068      = "rfc9068_profile"
	dialectRFC9068Authz = "rfc9068_profile_authz"
)

// resourceServer is an API that tokens are made for.
type resourceServer struct {
	id     string
	doc    document
	system bool // the Management API, which cannot be changed
}

func (s *resourceServer) identifier() string { return stringOf(s.doc["identifier"]) }

func (s *resourceServer) show() document {
	doc := maps.Clone(s.doc)
	doc["id"] = s.id
	if s.system {
		doc["is_system"] = true
	}
	return doc
}

// clientPolicy says whether clients may have tokens for themselves.
func (s *resourceServer) clientPolicy() string {
	bySubject, _ := s.doc["subject_type_authorization"].(map[string]any)
	policy, _ := bySubject["client"].(map[string]any)
	return stringOf(policy["policy"])
}

const maxTokenLifetime = 2592000 // 30 days, in seconds

// resourceServerSchema lists what POST /resource-servers accepts.
var resourceServerSchema = schema{
	required: []string{"identifier"},
	properties: map[string]rule{
		"identifier":             text(1, 600),
		"name":                   matching(text(1, 200), "^[^<>]+$"),
		"scopes":                 arrayOf(1000, object(scopeSchema)),
		"signing_alg":            oneOf("HS256", signingAlg, "RS512", "PS256"),
		"signing_secret":         text(16, 1024),
		"allow_offline_access":   isBool,
		"token_lifetime":         integer(1, maxTokenLifetime),
		"token_lifetime_for_web": integer(1, maxTokenLifetime),
		"skip_consent_for_verifiable_first_party_clients": isBool,
		"verificationLocation":                            text(0, 2048),
		"enforce_policies":                                isBool,
		"token_dialect":                                   oneOf(dialectAuth0, dialectAuth0Authz, dialectRFC9068, dialectRFC9068Authz),
		"consent_policy":                                  text(1, 255),
		"authorization_details":                           arrayOf(100, isObject),
		"token_encryption":                                isObject,
		"proof_of_possession":                             isObject,
		"subject_type_authorization":                      object(subjectTypeSchema),
	},
}

var scopeSchema = schema{
	required:   []string{"value"},
	properties: map[string]rule{"value": text(1, 280), "description": text(0, 500)},
}

var subjectTypeSchema = schema{properties: map[string]rule{
	subjectUser:   object(schema{properties: map[string]rule{"policy": oneOf("allow_all", "deny_all", "require_client_grant")}}),
	subjectClient: object(schema{properties: map[string]rule{"policy": oneOf("deny_all", "require_client_grant")}}),
}}

var resourceServerPatchSchema = resourceServerSchema.without("identifier")

// nullableResourceServerProperties may be cleared with null.
var nullableResourceServerProperties = []string{
	"consent_policy", "authorization_details", "token_encryption", "proof_of_possession",
}

func scopeDocuments(scopes []string) []any {
	docs := make([]any, len(scopes))
	for i, s := range scopes {
		docs[i] = document{"value": s}
	}
	return docs
}

func noResourceServer() *apiError {
	return apiErrorf(http.StatusNotFound, "inexistent_resource_server", "The resource server does not exist.")
}

// resourceServer finds an API by its identifier. The caller holds the lock.
func (e *Emulator) resourceServer(identifier string) (*resourceServer, bool) {
	return e.resourceServers.find(func(s *resourceServer) bool { return s.identifier() == identifier })
}

// lookupResourceServer finds an API by id or, as Auth0 allows, by identifier.
func (e *Emulator) lookupResourceServer(r *http.Request) (*resourceServer, bool) {
	if s, ok := e.resourceServers.get(r.PathValue("id")); ok {
		return s, true
	}
	return e.resourceServer(r.PathValue("id"))
}

func (e *Emulator) createResourceServer(w http.ResponseWriter, r *http.Request) (reply, error) {
	doc, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := resourceServerSchema.check(doc, nullableResourceServerProperties...); err != nil {
		return reply{}, err
	}
	if err := distinctScopes(doc); err != nil {
		return reply{}, err
	}
	applyResourceServerDefaults(doc)
	doc = merge(doc, nil)
	dropSecretParts(doc)
	s := &resourceServer{id: newObjectID(), doc: doc}

	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.resourceServer(s.identifier()); taken {
		return reply{}, apiErrorf(http.StatusConflict, "resource_server_conflict",
			"A resource server with the same identifier already exists")
	}
	e.resourceServers.put(s.id, s)
	return reply{http.StatusCreated, s.show()}, nil
}

// applyResourceServerDefaults fills in what Auth0 fills in. It leaves
// enforce_policies and token_dialect absent: without both an API has no
// permissions in its tokens.
func applyResourceServerDefaults(doc document) {
	defaults := document{
		"scopes":                 []any{},
		"signing_alg":            signingAlg,
		"allow_offline_access":   false,
		"token_lifetime":         float64(86400),
		"token_lifetime_for_web": float64(7200),
		"skip_consent_for_verifiable_first_party_clients": false,
		"subject_type_authorization": document{
			subjectUser:   document{"policy": "allow_all"},
			subjectClient: document{"policy": "require_client_grant"},
		},
	}
	for name, v := range defaults {
		if _, ok := doc[name]; !ok {
			doc[name] = v
		}
	}
}

// dropSecretParts forgets what Auth0 takes and never shows.
func dropSecretParts(doc document) {
	delete(doc, "signing_secret")
	if encryption, ok := doc["token_encryption"].(map[string]any); ok {
		if key, ok := encryption["encryption_key"].(map[string]any); ok {
			delete(key, "pem")
		}
	}
}

func distinctScopes(doc document) error {
	scopes, _ := doc["scopes"].([]any)
	var seen []string
	for _, s := range scopes {
		value := stringOf(s.(map[string]any)["value"])
		if slices.Contains(seen, value) {
			return invalidBody("'The scope %s is listed twice' on property scopes", value)
		}
		seen = append(seen, value)
	}
	return nil
}

func (e *Emulator) listResourceServers(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseListQuery(r, "identifiers")
	if err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	found := e.resourceServers.list(func(s *resourceServer) bool { return q.accepts("identifiers", s.identifier()) })
	return listReply(q, "resource_servers", found, (*resourceServer).show), nil
}

func (e *Emulator) getResourceServer(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s, ok := e.lookupResourceServer(r)
	if !ok {
		return reply{}, noResourceServer()
	}
	return reply{http.StatusOK, s.show()}, nil
}

func (e *Emulator) updateResourceServer(w http.ResponseWriter, r *http.Request) (reply, error) {
	patch, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := resourceServerPatchSchema.check(patch, nullableResourceServerProperties...); err != nil {
		return reply{}, err
	}
	if err := distinctScopes(patch); err != nil {
		return reply{}, err
	}
	dropSecretParts(patch)
	e.mu.Lock()
	defer e.mu.Unlock()
	old, ok := e.lookupResourceServer(r)
	switch {
	case !ok:
		return reply{}, noResourceServer()
	case old.system:
		return reply{}, systemResourceServer()
	}
	s := *old
	s.doc = merge(old.doc, patch)
	e.resourceServers.put(s.id, &s)
	return reply{http.StatusOK, s.show()}, nil
}

func systemResourceServer() *apiError {
	return apiErrorf(http.StatusBadRequest, "operation_not_supported", "System resource servers cannot be changed.")
}

// deleteResourceServer is repeatable (recorded in TestResourceServer_Delete) and
// takes the API's grants with it.
func (e *Emulator) deleteResourceServer(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.lookupResourceServer(r)
	switch {
	case !ok:
		return reply{status: http.StatusNoContent}, nil
	case s.system:
		return reply{}, systemResourceServer()
	}
	e.resourceServers.remove(s.id)
	for _, g := range e.grants.list(func(g *grant) bool { return g.audience == s.identifier() }) {
		e.grants.remove(g.id)
	}
	return reply{status: http.StatusNoContent}, nil
}
