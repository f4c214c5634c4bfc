package emulator

import (
	"maps"
	"net/http"
)

// The subject types of a grant: the client itself, or a person who logs in
// through it.
const (
	subjectClient = "client"
	subjectUser   = "user"
)

// grant lets a client have tokens for an API with some scopes.
type grant struct {
	id        string
	clientID  string
	audience  string
	doc       document
	bootstrap bool
}

func (g *grant) scope() []string { return stringSlice(g.doc["scope"]) }

func (g *grant) show() document {
	doc := maps.Clone(g.doc)
	doc["id"], doc["client_id"], doc["audience"] = g.id, g.clientID, g.audience
	return doc
}

// grantSchema lists what POST /client-grants accepts. Scopes are not compared
// with the API's own: Auth0 takes unknown ones too (recorded in
// TestClientGrantManager_Update).
var grantSchema = schema{
	required: []string{"client_id", "audience", "scope"},
	properties: map[string]rule{
		"client_id":                   text(1, 255),
		"audience":                    text(1, 600),
		"scope":                       arrayOf(1000, text(1, 280)),
		"subject_type":                oneOf(subjectClient, subjectUser),
		"organization_usage":          oneOf("deny", "allow", "require"),
		"allow_any_organization":      isBool,
		"authorization_details_types": arrayOf(100, text(1, 255)),
	},
}

// grantPatchSchema leaves out what identifies the grant.
var grantPatchSchema = grantSchema.without("client_id", "audience", "subject_type")

func noGrant() *apiError {
	return apiErrorf(http.StatusNotFound, "inexistent_client_grant", "The grant does not exist.")
}

func (e *Emulator) createGrant(w http.ResponseWriter, r *http.Request) (reply, error) {
	doc, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := grantSchema.check(doc); err != nil {
		return reply{}, err
	}
	g := &grant{id: newGrantID(), clientID: stringOf(doc["client_id"]), audience: stringOf(doc["audience"]), doc: doc}
	delete(doc, "client_id")
	delete(doc, "audience")
	if _, ok := doc["subject_type"]; !ok {
		doc["subject_type"] = subjectClient
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.admitGrant(g); err != nil {
		return reply{}, err
	}
	e.grants.put(g.id, g)
	e.noteGrant(r, g)
	return reply{http.StatusCreated, g.show()}, nil
}

// noteGrant puts the grant's client into the log of calls.
func (e *Emulator) noteGrant(r *http.Request, g *grant) {
	if c, ok := e.clients.get(g.clientID); ok {
		note(r, c)
	}
}

// admitGrant checks a new grant against the tenant's state.
func (e *Emulator) admitGrant(g *grant) error {
	c, ok := e.clients.get(g.clientID)
	if !ok {
		return noClient()
	}
	if c.doc["app_type"] == "express_configuration" {
		return apiErrorf(http.StatusBadRequest, "validation_error", "Client of type express_configuration cannot be used")
	}
	if _, ok := e.resourceServer(g.audience); !ok {
		return apiErrorf(http.StatusNotFound, "inexistent_resource_server", "No resource with identifier %s", g.audience)
	}
	// A client may hold one grant for itself and one for its users.
	if _, ok := e.grants.find(func(old *grant) bool {
		return old.clientID == g.clientID && old.audience == g.audience && old.doc["subject_type"] == g.doc["subject_type"]
	}); ok {
		return apiErrorf(http.StatusConflict, "client_grant_conflict",
			"A client grant already exists between %s and %s", g.clientID, g.audience)
	}
	made := len(e.grants.list(func(g *grant) bool { return !g.bootstrap }))
	if e.opts.MaxGrants > 0 && made >= e.opts.MaxGrants {
		return tooMany()
	}
	return nil
}

func (e *Emulator) listGrants(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseListQuery(r, "client_id", "audience", "subject_type", "allow_any_organization")
	if err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	found := e.grants.list(func(g *grant) bool {
		return q.is("client_id", g.clientID) && q.is("audience", g.audience) &&
			q.is("subject_type", stringOf(g.doc["subject_type"])) &&
			q.is("allow_any_organization", boolText(g.doc["allow_any_organization"] == true))
	})
	return listReply(q, "client_grants", found, (*grant).show), nil
}

func (e *Emulator) getGrant(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	g, ok := e.grants.get(r.PathValue("id"))
	if !ok {
		return reply{}, noGrant()
	}
	return reply{http.StatusOK, g.show()}, nil
}

func (e *Emulator) updateGrant(w http.ResponseWriter, r *http.Request) (reply, error) {
	patch, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := grantPatchSchema.check(patch); err != nil {
		return reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old, ok := e.grants.get(r.PathValue("id"))
	if !ok {
		return reply{}, noGrant()
	}
	g := *old
	g.doc = merge(old.doc, patch)
	e.grants.put(g.id, &g)
	e.noteGrant(r, &g)
	return reply{http.StatusOK, g.show()}, nil
}

// deleteGrant is repeatable, as Auth0's is (recorded in
// TestClientGrantManager_Delete).
func (e *Emulator) deleteGrant(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if g, ok := e.grants.get(r.PathValue("id")); ok {
		e.noteGrant(r, g)
		e.grants.remove(g.id)
	}
	return reply{status: http.StatusNoContent}, nil
}
