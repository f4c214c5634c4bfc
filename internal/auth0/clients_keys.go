package auth0

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
)

// maxCredentials is how many credentials an application may hold by Auth0's
// documentation, whether it may use them or not. Newer tenants allow more of
// them; two is enough, and holds everywhere.
const maxCredentials = keyset.MaxKeys

// credentialIDRE is what the id of a credential looks like; it is checked before
// an id becomes part of a URL.
var credentialIDRE = regexp.MustCompile(`^cred_[A-Za-z0-9]{1,64}$`)

// knownKeyRE recognises by its words that an application has the key already. The
// documentation names neither code nor status.
var knownKeyRE = regexp.MustCompile(`(?i)already exists? in client`)

// keyring is one run that brings an application to its keys. It holds what Auth0
// has, as far as we know it.
type keyring struct {
	client   *Client
	clientID string
	wanted   []keyset.Key
	pool     []*management.Credential // all that the application holds
	attached []string                 // ids of those that it may use
}

// ensureKeys makes the change, and the keys what the application authenticates
// with. A credential takes three steps: it is created, the application is told to
// use it, and what it replaces is deleted.
func (c *Client) ensureKeys(ctx context.Context, app *management.Client, wanted []keyset.Key, change map[string]any) error {
	r := &keyring{client: c, clientID: app.GetClientID(), wanted: wanted, attached: attachedKeys(app)}
	if err := r.read(ctx); err != nil {
		return err
	}
	for _, key := range wanted {
		if err := r.add(ctx, key); err != nil {
			return err
		}
	}
	if err := r.enable(ctx, app.TokenEndpointAuthMethod != nil, change); err != nil {
		return err
	}
	for _, former := range slices.Clone(r.pool) {
		if r.isWanted(former) {
			continue
		}
		if err := r.remove(ctx, former); err != nil {
			return err
		}
	}
	return nil
}

// enable makes the change and tells the application to use exactly the wanted
// keys, and no secret where it has had one.
func (r *keyring) enable(ctx context.Context, hadSecret bool, change map[string]any) error {
	op, ids := opUpdateClient, r.ids(r.isWanted)
	if hadSecret || !registry.SameSet(ids, r.attached) {
		op = opEnableKeys
		change[propKeyMethods] = keysBody(ids)
	}
	if hadSecret {
		change[propSecretMethod] = nil
	}
	if err := r.client.patchClient(ctx, op, r.clientID, change, nil); err != nil {
		return err
	}
	r.attached = ids
	return nil
}

// read lists the credentials. An application that uses one that is not listed was
// changed meanwhile, or the list came incomplete.
func (r *keyring) read(ctx context.Context) error {
	m := r.client.management
	return r.client.call(ctx, opListKeys, func(ctx context.Context) error {
		var pool []*management.Credential
		err := m.Request(ctx, http.MethodGet, m.URI("clients", r.clientID, "credentials"), &pool)
		if isStatus(err, http.StatusNotFound) {
			return opListKeys.gone(err)
		}
		if err != nil {
			return err
		}
		r.pool = slices.DeleteFunc(pool, func(k *management.Credential) bool { return k == nil })
		listed := r.ids(func(*management.Credential) bool { return true })
		bad := slices.ContainsFunc(listed, func(id string) bool { return !credentialIDRE.MatchString(id) })
		missing := slices.ContainsFunc(r.attached, func(id string) bool { return !slices.Contains(listed, id) })
		if pool == nil || bad || missing {
			return opListKeys.unavailable(errIncomplete)
		}
		return nil
	})
}

// add makes sure that the application holds the key, and makes room for it first
// where it has to.
func (r *keyring) add(ctx context.Context, key keyset.Key) error {
	if slices.ContainsFunc(r.pool, func(k *management.Credential) bool { return sameKey(k, key) }) {
		return nil
	}
	for {
		former := r.inTheWayOf(key)
		if former == nil {
			return r.create(ctx, key)
		}
		if err := r.remove(ctx, former); err != nil {
			return err
		}
	}
}

// inTheWayOf returns a credential that must go before the key can be created, or
// nil: the same key in another use, because Auth0 takes no key twice, or else one
// that nobody wants, where there is no room. Those that are out of use go first.
func (r *keyring) inTheWayOf(key keyset.Key) *management.Credential {
	for _, k := range r.pool {
		if k.GetKeyID() == key.Thumbprint() {
			return k
		}
	}
	if len(r.pool) < maxCredentials {
		return nil
	}
	var former *management.Credential
	for _, k := range r.pool {
		if !r.isWanted(k) && (former == nil || !slices.Contains(r.attached, k.GetID())) {
			former = k
		}
	}
	return former
}

func (r *keyring) create(ctx context.Context, key keyset.Key) error {
	credential := newCredential(key)
	err := r.client.call(ctx, opCreateKey, func(ctx context.Context) error {
		err := r.client.management.Client.CreateCredential(ctx, r.clientID, &credential)
		refused, ok := errors.AsType[*responseError](err)
		switch {
		case isStatus(err, http.StatusNotFound):
			return opCreateKey.gone(err)
		case isStatus(err, http.StatusConflict), ok && knownKeyRE.MatchString(refused.text):
			// Somebody added it since we looked: the next attempt finds it.
			return opCreateKey.unavailable(withoutSecrets(err))
		case err == nil && (!credentialIDRE.MatchString(credential.GetID()) || !sameKey(&credential, key)):
			return errors.New("the created credential came without its id, or is another key")
		}
		return err
	})
	if err != nil {
		return err
	}
	r.pool = append(r.pool, &credential)
	return nil
}

// remove ends a credential: the application stops using it, and then it is
// deleted. In its place the application may use what we have created already.
func (r *keyring) remove(ctx context.Context, former *management.Credential) error {
	id := former.GetID()
	if slices.Contains(r.attached, id) {
		rest := r.ids(func(k *management.Credential) bool {
			return k.GetID() != id && (r.isWanted(k) || slices.Contains(r.attached, k.GetID()))
		})
		if err := r.client.patchClient(ctx, opEnableKeys, r.clientID, map[string]any{propKeyMethods: keysBody(rest)}, nil); err != nil {
			return err
		}
		r.attached = rest
	}
	err := r.client.call(ctx, opDeleteKey, func(ctx context.Context) error {
		err := r.client.management.Client.DeleteCredential(ctx, r.clientID, id)
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	r.pool = slices.DeleteFunc(r.pool, func(k *management.Credential) bool { return k.GetID() == id })
	return nil
}

func (r *keyring) isWanted(credential *management.Credential) bool {
	return slices.ContainsFunc(r.wanted, func(key keyset.Key) bool { return sameKey(credential, key) })
}

func (r *keyring) ids(keep func(*management.Credential) bool) []string {
	ids := []string{}
	for _, k := range r.pool {
		if keep(k) {
			ids = append(ids, k.GetID())
		}
	}
	return ids
}
