package emulator

import (
	"maps"
	"net/http"
	"slices"
)

var credentialPatchSchema = schema{properties: map[string]rule{"expires_at": text(1, 64)}}

func noCredential() *apiError {
	return apiErrorf(http.StatusNotFound, "", "The credential does not exist.")
}

func (e *Emulator) createCredential(w http.ResponseWriter, r *http.Request) (reply, error) {
	body, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := credentialSchema.check(body); err != nil {
		return reply{}, err
	}
	added, err := newCredential(body, e.opts.Now())
	if err != nil {
		return reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	c := *old
	if err := c.hold(added); err != nil {
		return reply{}, err
	}
	e.clients.put(c.id, &c)
	return reply{http.StatusCreated, added.doc}, nil
}

// listCredentials answers with a bare array even where totals are asked for
// (recorded in TestClient_ListCredentials).
func (e *Emulator) listCredentials(_ http.ResponseWriter, r *http.Request) (reply, error) {
	if _, err := parseListQuery(r); err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	docs := []document{}
	for _, k := range c.credentials {
		docs = append(docs, k.show())
	}
	return reply{http.StatusOK, docs}, nil
}

func (e *Emulator) getCredential(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	k, ok := c.credential(r.PathValue("credential"))
	if !ok {
		return reply{}, noCredential()
	}
	return reply{http.StatusOK, k.show()}, nil
}

func (e *Emulator) updateCredential(w http.ResponseWriter, r *http.Request) (reply, error) {
	patch, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := credentialPatchSchema.check(patch, "expires_at"); err != nil {
		return reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	k, ok := old.credential(r.PathValue("credential"))
	if !ok {
		return reply{}, noCredential()
	}
	if expiry, ok := patch["expires_at"]; ok {
		if k, err = k.setExpiry(expiry); err != nil {
			return reply{}, err
		}
	}
	k = &credential{doc: maps.Clone(k.doc), key: k.key, expiresAt: k.expiresAt}
	k.doc["updated_at"] = e.opts.Now().UTC().Format(milliseconds)
	c := *old
	c.credentials = slices.Clone(old.credentials)
	c.credentials[slices.IndexFunc(c.credentials, func(o *credential) bool { return o.id() == k.id() })] = k
	e.clients.put(c.id, &c)
	return reply{http.StatusOK, k.doc}, nil
}

// deleteCredential is repeatable, as Auth0's is (recorded in
// TestClient_DeleteCredential). It refuses while the client uses the credential.
func (e *Emulator) deleteCredential(_ http.ResponseWriter, r *http.Request) (reply, error) {
	id := r.PathValue("credential")
	e.mu.Lock()
	defer e.mu.Unlock()
	old, err := e.clientOf(r)
	if err != nil {
		return reply{}, err
	}
	if slices.Contains(old.attached(""), id) {
		return reply{}, apiErrorf(http.StatusBadRequest, "", "The credential is still associated with a client.")
	}
	c := *old
	c.credentials = slices.DeleteFunc(slices.Clone(old.credentials), func(k *credential) bool { return k.id() == id })
	e.clients.put(c.id, &c)
	return reply{status: http.StatusNoContent}, nil
}
