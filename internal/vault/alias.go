package vault

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/credenceproject/credence/internal/registry"
)

// alias ties a name that an auth mount knows to an entity.
type alias struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	CanonicalID   string `json:"canonical_id"`
	MountAccessor string `json:"mount_accessor"`
}

// EnsureAlias makes logins with a JWT of the given subject land on the entity,
// and returns the alias's id. The subject is the whole `sub` claim, such as
// Qm4…@clients: an alias named by the client id alone is never used, and the
// agent then logs in to another entity. It may be repeated.
//
// The store moves an alias to another entity without a word when it is created
// again, so who has it is asked first. A bare entity that the store itself made
// when this subject logged in before its alias existed is taken over; the
// tokens it has stay bare, and it stays behind without an alias. An alias of
// anybody else's is not moved: registry.Conflict, code vault_alias_taken. An
// entity that is gone or has another alias already is a registry.Conflict too,
// code vault_alias_conflict.
func (c *Client) EnsureAlias(ctx context.Context, entityID, subject string) (aliasID string, err error) {
	if !entityIDRE.MatchString(entityID) {
		return "", refuse("The entity's id is none of the secret store's.")
	}
	if !subjectRE.MatchString(subject) {
		return "", refuse("The agent's subject cannot be used in the secret store.")
	}
	lock := &c.subjects[maphash.String(c.seed, subject)%uint64(len(c.subjects))]
	lock.Lock()
	defer lock.Unlock()

	mount, err := c.mountAccessor(ctx)
	if err != nil {
		return "", err
	}
	aliasID, err = c.ensureAlias(ctx, entityID, subject, mount)
	if s := statusOf(err); s == http.StatusForbidden || s == http.StatusBadRequest {
		// Perhaps the mount was made anew since we asked for its accessor.
		c.accessor.forget(mount)
		again, lookupErr := c.mountAccessor(ctx)
		if lookupErr == nil && again != mount {
			return c.ensureAlias(ctx, entityID, subject, again)
		}
	}
	return aliasID, err
}

func (c *Client) ensureAlias(ctx context.Context, entityID, subject, mount string) (string, error) {
	owner, err := c.aliasOwner(ctx, subject, mount)
	if err != nil {
		return "", err
	}
	if owner != nil && owner.ID != entityID && !owner.bare() {
		return "", registry.Conflict.Errorf(CodeAliasTaken, "The agent's subject belongs to another entity of the secret store.")
	}
	if owner == nil || owner.ID != entityID {
		if err := c.writeAlias(ctx, entityID, subject, mount); err != nil {
			return "", err
		}
		if owner, err = c.aliasOwner(ctx, subject, mount); err != nil {
			return "", err
		}
	}
	if owner != nil && owner.ID == entityID {
		if i := owner.aliasIndex(subject, mount); i >= 0 {
			return owner.Aliases[i].ID, nil
		}
	}
	return "", unavailable(fmt.Errorf("the alias is not where it was written"))
}

// aliasOwner returns the entity that has the alias, or nil.
func (c *Client) aliasOwner(ctx context.Context, subject, mount string) (*entity, error) {
	secret, err := c.do(ctx, request{
		op: "lookup_alias", method: http.MethodPut, path: "identity/lookup/entity",
		body: map[string]any{"alias_name": subject, "alias_mount_accessor": mount}, repeat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("look up alias: %w", err)
	}
	if secret == nil {
		return nil, nil
	}
	return decodeEntity(secret)
}

// writeAlias is not repeated on its own: who has the alias must be looked up
// before each write.
func (c *Client) writeAlias(ctx context.Context, entityID, subject, mount string) error {
	_, err := c.do(ctx, request{
		op: "write_alias", method: http.MethodPut, path: "identity/entity-alias",
		body: map[string]any{"name": subject, "canonical_id": entityID, "mount_accessor": mount},
	})
	switch {
	case statusOf(err) == http.StatusBadRequest:
		return registry.Conflict.Wrap(err, CodeAliasConflict,
			"The agent's entity in the secret store is gone, or belongs to another subject.")
	case err != nil:
		return fmt.Errorf("write alias: %w", err)
	}
	return nil
}

// bare reports whether the store made e on its own, at a login without an
// alias: it means nothing and grants nothing. One that somebody gave a meaning,
// or disabled, is not ours to empty.
func (e *entity) bare() bool {
	return strings.HasPrefix(e.Name, "entity_") && !e.Disabled && len(e.Metadata) == 0 &&
		len(e.Policies) == 0 && len(e.GroupIDs) == 0 && len(e.DirectGroupIDs) == 0 && len(e.Aliases) == 1
}

func (e *entity) aliasIndex(name, mount string) int {
	return slices.IndexFunc(e.Aliases, func(a alias) bool { return a.Name == name && a.MountAccessor == mount })
}

// accessor caches the id of the agents' auth mount. It changes when the mount
// is made anew.
type accessor struct {
	mu    sync.Mutex
	value string
}

func (a *accessor) get() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}

func (a *accessor) set(v string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value = v
}

// forget drops v, unless somebody has found a newer one.
func (a *accessor) forget(v string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value == v {
		a.value = ""
	}
}

func (c *Client) mountAccessor(ctx context.Context) (string, error) {
	if v := c.accessor.get(); v != "" {
		return v, nil
	}
	secret, err := c.do(ctx, request{op: "read_mounts", method: http.MethodGet, path: "sys/auth", repeat: true})
	if err != nil {
		return "", fmt.Errorf("read auth mounts: %w", err)
	}
	var mounts map[string]mount
	if secret != nil {
		if mounts, err = mountsOf(secret.Data); err != nil {
			return "", err
		}
	}
	m, ok := mounts[c.config.JWTMount+"/"]
	if !ok || m.Accessor == "" {
		return "", refuse("The secret store has no auth mount %s; an operator must run `credence setup vault`.", c.config.JWTMount)
	}
	c.accessor.set(m.Accessor)
	return m.Accessor, nil
}

// mount is an auth or secrets engine.
type mount struct {
	Type     string            `json:"type"`
	Accessor string            `json:"accessor"`
	Options  map[string]string `json:"options"`
}

func mountsOf(data map[string]any) (map[string]mount, error) {
	var mounts map[string]mount
	err := decode(data, &mounts)
	return mounts, err
}
