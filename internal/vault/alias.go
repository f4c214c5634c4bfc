package vault

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// alias ties a name that an auth mount knows to an entity.
type alias struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	CanonicalID   string `json:"canonical_id"`
	MountAccessor string `json:"mount_accessor"`
	MountPath     string `json:"mount_path"` // "" when the mount is gone
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
//
// An alias at a mount that was made anew counts for nothing, as nobody logs in
// there: the entity gets one at the present mount beside it, once an operator
// has run Setup, which ties the control plane to that mount. The dead one goes
// with the entity. The control plane may delete no alias by its id, because
// that right knows no mounts and would cover those of people.
func (c *Client) EnsureAlias(ctx context.Context, entityID, subject string) (aliasID string, err error) {
	if !entityIDRE.MatchString(entityID) {
		return "", refuse("The entity's id is none of the secret store's.")
	}
	if !subjectRE.MatchString(subject) {
		return "", refuse("The agent's subject cannot be used in the secret store.")
	}
	turn := c.subjects[maphash.String(c.seed, subject)%uint64(len(c.subjects))]
	if err := turn.take(ctx); err != nil {
		return "", err
	}
	defer turn.give()

	mount, err := c.mountAccessor(ctx)
	if err != nil {
		return "", err
	}
	ours, err := c.ensureAlias(ctx, entityID, subject, mount)
	s := statusOf(err)
	if s != http.StatusForbidden && s != http.StatusBadRequest && (err != nil || c.atAgentsMount(ours)) {
		return ours.ID, err
	}
	// Perhaps the mount was made anew since we asked for its accessor.
	c.accessor.forget(mount)
	again, lookupErr := c.mountAccessor(ctx)
	if lookupErr == nil && again != mount {
		ours, err = c.ensureAlias(ctx, entityID, subject, again)
	} else if err == nil {
		err = lookupErr
	}
	if err != nil {
		return "", err
	}
	return ours.ID, nil
}

// atAgentsMount reports whether a is at the mount where agents log in now. The
// store forgets the path of a mount that is gone, and its aliases stay.
func (c *Client) atAgentsMount(a alias) bool {
	return a.MountPath == "auth/"+c.config.JWTMount+"/"
}

func (c *Client) ensureAlias(ctx context.Context, entityID, subject, mount string) (alias, error) {
	owner, err := c.aliasOwner(ctx, subject, mount)
	if err != nil {
		return alias{}, err
	}
	if owner != nil && owner.ID != entityID && !owner.bare() {
		return alias{}, registry.Conflict.Errorf(CodeAliasTaken, "The agent's subject belongs to another entity of the secret store.")
	}
	if owner == nil || owner.ID != entityID {
		if err := c.writeAlias(ctx, entityID, subject, mount); err != nil {
			return alias{}, err
		}
		if owner, err = c.aliasOwner(ctx, subject, mount); err != nil {
			return alias{}, err
		}
	}
	if owner != nil && owner.ID == entityID {
		if i := owner.aliasIndex(subject, mount); i >= 0 {
			return owner.Aliases[i], nil
		}
	}
	return alias{}, unavailable(fmt.Errorf("the alias is not where it was written"))
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
