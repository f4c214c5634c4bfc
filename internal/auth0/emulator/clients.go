package emulator

import (
	"maps"
	"net/http"
)

const grantClientCredentials = "client_credentials"

// client is an application. Its document holds what the Management API shows.
type client struct {
	id          string
	doc         document
	secrets     secrets
	credentials []*credential // of private_key_jwt and mutual TLS, in use or not
	bootstrap   bool
}

func (c *client) grantTypes() []string { return stringSlice(c.doc["grant_types"]) }

func (c *client) metadata() map[string]string {
	values, _ := c.doc["client_metadata"].(map[string]any)
	metadata := make(map[string]string, len(values))
	for k, v := range values {
		metadata[k] = stringOf(v)
	}
	return metadata
}

// usesSecret reports whether the client authenticates with its secret.
func (c *client) usesSecret() bool {
	_, keys := c.doc["client_authentication_methods"]
	return !keys && c.doc["token_endpoint_auth_method"] != authMethodNone
}

// show returns the client as the API shows it. secret is "" but in the answer
// that made it.
func (c *client) show(secret string) document {
	doc := maps.Clone(c.doc)
	doc["client_id"] = c.id
	if secret != "" {
		doc["client_secret"] = secret
	}
	return doc
}

// showTo returns the client as the caller of r may see it: how it authenticates
// without a secret is shown to holders of two scopes only.
func (c *client) showTo(r *http.Request, secret string) document {
	doc := c.show(secret)
	if !holdsAny(r, "read:client_keys", "read:client_credentials") {
		delete(doc, "client_authentication_methods")
	}
	return doc
}

// clientOf returns the client that the path of r names. The caller holds the
// lock.
func (e *Emulator) clientOf(r *http.Request) (*client, error) {
	c, ok := e.clients.get(r.PathValue("id"))
	if !ok {
		return nil, noClient()
	}
	note(r, c)
	return c, nil
}

func noClient() *apiError {
	return apiErrorf(http.StatusNotFound, "inexistent_client", "The client does not exist")
}

// tooMany is Auth0's answer at an entity limit.
func tooMany() *apiError {
	return apiErrorf(http.StatusForbidden, "too_many_entities", "You reached the limit of entities of this type for this tenant.")
}

func (e *Emulator) createClient(w http.ResponseWriter, r *http.Request) (reply, error) {
	doc, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := clientSchema.check(doc); err != nil {
		return reply{}, err
	}
	if _, keys := doc["client_authentication_methods"]; keys && !holdsAny(r, "create:client_credentials") {
		return reply{}, insufficientScope("create:client_credentials")
	}
	secret := stringOf(doc["client_secret"])
	if secret == "" {
		secret = newSecret()
	}
	delete(doc, "client_secret")
	applyClientDefaults(doc)
	c := &client{id: newClientID(), doc: doc}
	if err := c.validate(); err != nil {
		return reply{}, err
	}
	now := e.opts.Now()
	shown, err := c.adoptCredentials(true, now)
	if err != nil {
		return reply{}, err
	}
	c.secrets = secrets{}.rotated(e.hash.sum(secret), now)

	e.mu.Lock()
	defer e.mu.Unlock()
	made := len(e.clients.list(func(c *client) bool { return !c.bootstrap }))
	if e.opts.MaxClients > 0 && made >= e.opts.MaxClients {
		return reply{}, tooMany()
	}
	e.clients.put(c.id, c)
	note(r, c)
	answer := c.show(secret)
	maps.Copy(answer, shown)
	return reply{http.StatusCreated, answer}, nil
}

func (e *Emulator) listClients(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseListQuery(r, "app_type", "is_first_party", "is_global")
	if err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	found := e.clients.list(func(c *client) bool {
		return q.accepts("app_type", stringOf(c.doc["app_type"])) &&
			q.accepts("is_first_party", boolText(c.doc["is_first_party"] != false)) &&
			q.accepts("is_global", "false")
	})
	return listReply(q, "clients", found, func(c *client) document { return c.showTo(r, "") }), nil
}

func (e *Emulator) getClient(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseFieldsQuery(r)
	if err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, q.project(c.showTo(r, ""))}, nil
}

func (e *Emulator) updateClient(w http.ResponseWriter, r *http.Request) (reply, error) {
	patch, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := clientPatchSchema.check(patch, nullableClientProperties...); err != nil {
		return reply{}, err
	}
	newSecret := stringOf(patch["client_secret"])
	if newSecret != "" && !holdsAny(r, "update:client_keys") {
		return reply{}, insufficientScope("update:client_keys")
	}
	if _, keys := patch["client_authentication_methods"]; keys && !holdsAny(r, "update:client_credentials") {
		return reply{}, insufficientScope("update:client_credentials")
	}
	delete(patch, "client_secret")

	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	c := *old
	c.doc = mergeClient(old.doc, patch)
	if err := c.validate(); err != nil {
		return reply{}, err
	}
	if _, err := c.adoptCredentials(false, e.opts.Now()); err != nil {
		return reply{}, err
	}
	if newSecret != "" {
		c.secrets = secrets{current: e.hash.sum(newSecret)}
	}
	e.clients.put(c.id, &c)
	return reply{http.StatusOK, c.showTo(r, "")}, nil
}

// deleteClient is repeatable, as Auth0's is, and takes the client's grants with
// it.
func (e *Emulator) deleteClient(_ http.ResponseWriter, r *http.Request) (reply, error) {
	id := r.PathValue("id")
	e.mu.Lock()
	defer e.mu.Unlock()
	_, _ = e.clientOf(r) // so that the log of calls tells whose client it was
	e.clients.remove(id)
	for _, g := range e.grants.list(func(g *grant) bool { return g.clientID == id }) {
		e.grants.remove(g.id)
	}
	return reply{status: http.StatusNoContent}, nil
}

// rotateSecret answers with a new secret. The old one stays valid for
// SecretOverlap.
func (e *Emulator) rotateSecret(_ http.ResponseWriter, r *http.Request) (reply, error) {
	secret := newSecret()
	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	if _, keys := old.doc["client_authentication_methods"]; keys {
		return reply{}, apiErrorf(http.StatusBadRequest, "invalid_body", "The client does not authenticate with a secret.")
	}
	c := *old
	c.secrets = old.secrets.rotated(e.hash.sum(secret), e.opts.Now().Add(max(e.opts.SecretOverlap, 0)))
	e.clients.put(c.id, &c)
	return reply{http.StatusOK, c.showTo(r, secret)}, nil
}
