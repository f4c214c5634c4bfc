package emulator

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// adoptCredentials gives the client's new public credentials an id and leaves
// only the ids in its document, which is all that GET shows. It returns the
// properties with every detail, for the answer to a create. Credentials that
// name an id must be the client's own.
func (c *client) adoptCredentials(now time.Time) (document, error) {
	shown := document{}
	if methods, ok := c.doc["client_authentication_methods"].(map[string]any); ok {
		details, kept := document{}, document{}
		for method, v := range methods {
			holder, _ := v.(map[string]any)
			withDetails, withIDs, err := c.adoptList(method, holder, now)
			if err != nil {
				return nil, err
			}
			details[method], kept[method] = withDetails, withIDs
		}
		shown["client_authentication_methods"] = details
		c.doc["client_authentication_methods"] = kept
	}
	if holder, ok := c.doc["signed_request_object"].(map[string]any); ok && holder["credentials"] != nil {
		withDetails, withIDs, err := c.adoptList("signed_request_object", holder, now)
		if err != nil {
			return nil, err
		}
		shown["signed_request_object"] = withDetails
		c.doc["signed_request_object"] = withIDs
	}
	return shown, nil
}

// adoptList adopts the credentials of one holder and returns the holder with
// their details and with their ids.
func (c *client) adoptList(method string, holder document, now time.Time) (withDetails, withIDs document, err error) {
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
		credential, err := c.adopt(method, entry, now)
		if err != nil {
			return nil, nil, err
		}
		details = append(details, credential)
		ids = append(ids, document{"id": credential["id"]})
	}
	withDetails, withIDs = maps.Clone(holder), maps.Clone(holder)
	withDetails["credentials"], withIDs["credentials"] = details, ids
	return withDetails, withIDs, nil
}

// adopt returns the client's credential that entry names, or a new one.
func (c *client) adopt(method string, entry document, now time.Time) (document, error) {
	if id, ok := entry["id"].(string); ok {
		for _, known := range c.credentials {
			if known["id"] == id {
				return known, nil
			}
		}
		return nil, invalidBody("'The client has no such credential' on the credentials of %s", method)
	}
	stamp := now.UTC().Format("2006-01-02T15:04:05.000Z")
	credential := document{
		"id":              newCredentialID(),
		"credential_type": stringOf(entry["credential_type"]),
		"created_at":      stamp,
		"updated_at":      stamp,
	}
	if name, ok := entry["name"].(string); ok {
		credential["name"] = name
	}
	if entry["credential_type"] == "public_key" {
		kid, ok := keyThumbprint(stringOf(entry["pem"]))
		if !ok {
			return nil, invalidBody("'The pem is not a public key' on the credentials of %s", method)
		}
		credential["kid"] = kid
		credential["alg"] = signingAlg
	}
	c.credentials = append(slices.Clip(c.credentials), credential)
	return credential, nil
}

// keyThumbprint is the RFC 7638 thumbprint of a PEM public key.
func keyThumbprint(text string) (string, bool) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "", false
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", false
	}
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(sum), true
}
