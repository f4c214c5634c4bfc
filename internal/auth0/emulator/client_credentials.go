package emulator

import (
	"crypto/rsa"
	"maps"
	"net/http"
	"slices"
	"time"
)

// maxCredentials is how many credentials a client may hold, in use or not, by
// Auth0's documentation (Rotate Credentials).
const maxCredentials = 2

// credential is a public key, or a certificate for mutual TLS, that a client
// holds. It counts where the client's document names its id. Values are
// replaced, never changed.
type credential struct {
	doc       document // with every detail that is shown
	key       *rsa.PublicKey
	expiresAt time.Time // zero: never
}

func (c *credential) id() string { return stringOf(c.doc["id"]) }

// show is the credential by itself; there expires_at is null where it never
// expires (recorded in TestClient_GetCredentials).
func (c *credential) show() document {
	doc := maps.Clone(c.doc)
	if _, ok := doc["expires_at"]; !ok {
		doc["expires_at"] = nil
	}
	return doc
}

// setExpiry returns the credential with another end; null is none.
func (c *credential) setExpiry(v any) (*credential, error) {
	next := &credential{doc: maps.Clone(c.doc), key: c.key}
	if v == nil {
		delete(next.doc, "expires_at")
		return next, nil
	}
	at, err := time.Parse(time.RFC3339, stringOf(v))
	if err != nil {
		return nil, invalidBody("'Invalid format' on property expires_at")
	}
	next.expiresAt = at
	next.doc["expires_at"] = at.UTC().Format(milliseconds)
	return next, nil
}

const milliseconds = "2006-01-02T15:04:05.000Z"

// credentialSchema lists what a new credential may have.
var credentialSchema = schema{
	required: []string{"credential_type"},
	properties: map[string]rule{
		"credential_type":        oneOf("public_key", "cert_subject_dn", "x509_cert"),
		"name":                   text(0, 128),
		"pem":                    text(1, 16<<10),
		"alg":                    oneOf(assertionAlgorithms...),
		"subject_dn":             text(1, 256),
		"parse_expiry_from_cert": isBool,
		"expires_at":             text(1, 64),
	},
}

// newCredential makes a credential of a body that fits credentialSchema.
func newCredential(body document, now time.Time) (*credential, error) {
	stamp := now.UTC().Format(milliseconds)
	c := &credential{doc: document{
		"id": newCredentialID(), "credential_type": body["credential_type"], "created_at": stamp, "updated_at": stamp,
	}}
	if name, ok := body["name"]; ok {
		c.doc["name"] = name
	}
	if body["credential_type"] == "public_key" {
		key, err := parsePublicKey(stringOf(body["pem"]))
		if err != nil {
			return nil, err
		}
		c.key = key
		c.doc["kid"] = keyThumbprint(key)
		c.doc["alg"] = signingAlg
		if alg, ok := body["alg"]; ok {
			c.doc["alg"] = alg
		}
	}
	return c.setExpiry(body["expires_at"])
}

// hold adds a credential to those of the client.
func (c *client) hold(added *credential) error {
	if len(c.credentials) >= maxCredentials {
		return apiErrorf(http.StatusBadRequest, "", "A client can have a maximum of %d credentials.", maxCredentials)
	}
	if added.key != nil && slices.ContainsFunc(c.credentials, func(k *credential) bool { return k.key != nil && k.key.Equal(added.key) }) {
		return apiErrorf(http.StatusBadRequest, "", "credentials contains public keys that already exist in client")
	}
	c.credentials = append(slices.Clip(c.credentials), added)
	return nil
}

// credential returns the client's credential of that id.
func (c *client) credential(id string) (*credential, bool) {
	i := slices.IndexFunc(c.credentials, func(k *credential) bool { return k.id() == id })
	if i < 0 {
		return nil, false
	}
	return c.credentials[i], true
}

// holders are the parts of the client's document that list credentials.
func (c *client) holders() map[string]document {
	holders := map[string]document{}
	methods, _ := c.doc["client_authentication_methods"].(map[string]any)
	for method, v := range methods {
		holders[method], _ = v.(map[string]any)
	}
	if holder, ok := c.doc["signed_request_object"].(map[string]any); ok && holder["credentials"] != nil {
		holders["signed_request_object"] = holder
	}
	return holders
}

// attached returns the ids of the credentials that are used in one way, or in any
// of them where method is "".
func (c *client) attached(method string) (ids []string) {
	for name, holder := range c.holders() {
		if method != "" && name != method {
			continue
		}
		list, _ := holder["credentials"].([]any)
		for _, v := range list {
			entry, _ := v.(map[string]any)
			ids = append(ids, stringOf(entry["id"]))
		}
	}
	return ids
}

// adoptCredentials makes credentials of the new ones in the document of a client
// that is being made, and leaves only ids there, which is all that GET shows. It
// returns the properties with every detail, for the answer. In a PATCH, where
// create is false, a document may only name credentials that the client holds.
func (c *client) adoptCredentials(create bool, now time.Time) (document, error) {
	shown, kept := document{}, document{}
	for method, holder := range c.holders() {
		withDetails, withIDs, err := c.adoptList(method, holder, create, now)
		if err != nil {
			return nil, err
		}
		if method == "signed_request_object" {
			shown[method], c.doc[method] = withDetails, withIDs
			continue
		}
		kept[method] = withIDs
		shown["client_authentication_methods"] = document{method: withDetails} // there is but one method
	}
	if len(kept) > 0 {
		c.doc["client_authentication_methods"] = kept
	}
	return shown, nil
}

// adoptList adopts the credentials of one holder and returns the holder with
// their details and with their ids.
func (c *client) adoptList(method string, holder document, create bool, now time.Time) (withDetails, withIDs document, err error) {
	list, ok := holder["credentials"].([]any)
	if !ok {
		return nil, nil, invalidBody("'Expected type array' on the credentials of %s", method)
	}
	details, ids := []any{}, []any{}
	for _, v := range list {
		entry, ok := v.(map[string]any)
		if !ok {
			return nil, nil, invalidBody("'Expected type object' on the credentials of %s", method)
		}
		adopted, err := c.adopt(method, entry, create, now)
		if err != nil {
			return nil, nil, err
		}
		details = append(details, adopted.doc)
		ids = append(ids, document{"id": adopted.id()})
	}
	withDetails, withIDs = maps.Clone(holder), maps.Clone(holder)
	withDetails["credentials"], withIDs["credentials"] = details, ids
	return withDetails, withIDs, nil
}

// adopt returns the client's credential that entry names, or a new one.
func (c *client) adopt(method string, entry document, create bool, now time.Time) (*credential, error) {
	if _, named := entry["id"]; named || !create {
		known, ok := c.credential(stringOf(entry["id"]))
		if !ok {
			return nil, invalidBody("'The client has no such credential' on the credentials of %s", method)
		}
		return known, nil
	}
	if err := credentialSchema.check(entry); err != nil {
		return nil, err
	}
	made, err := newCredential(entry, now)
	if err != nil {
		return nil, err
	}
	return made, c.hold(made)
}
