package vault

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// MaxDatabaseTTL bounds credentials of a database role: leases that are out run
// to their end when an agent is shut out, so they must be short.
const MaxDatabaseTTL = 10 * time.Minute

// DatabaseConfig describes a PostgreSQL whose credentials the store makes on
// demand.
type DatabaseConfig struct {
	Mount         string                 // default "database"
	Name          string                 // of the connection; default "postgresql"
	ConnectionURL string                 // such as postgresql://{{username}}:{{password}}@db:5432/app?sslmode=verify-full
	Username      string                 // one that may create roles
	Password      func() (string, error) // asked only when the connection must be written
	Role          string                 // default "readonly"
	TTL           time.Duration          // of credentials, and not to be renewed beyond; default and most MaxDatabaseTTL
	Creation      []string               // SQL; default DefaultCreation
	Revocation    []string               // SQL; default DefaultRevocation
}

// DefaultCreation makes a role that can read the tables of schema public. The
// creating user becomes a member of it, without which PostgreSQL 16 and later
// lets it neither end the role's sessions nor drop what it owns.
func DefaultCreation() []string {
	return []string{
		`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
		`GRANT "{{name}}" TO CURRENT_USER`,
		`GRANT USAGE ON SCHEMA public TO "{{name}}"`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"`,
	}
}

// DefaultRevocation removes the role for good: no new sessions, the end of
// those there are (DROP ROLE leaves them alive), whatever it owns or was
// granted (DROP ROLE fails on either), and the role itself.
func DefaultRevocation() []string {
	return []string{
		`ALTER ROLE "{{name}}" NOLOGIN`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'`,
		`REASSIGN OWNED BY "{{name}}" TO CURRENT_USER`,
		`DROP OWNED BY "{{name}}"`,
		`DROP ROLE IF EXISTS "{{name}}"`,
	}
}

// DatabasePolicy is the name of the policy that lets its holder draw
// credentials. Setup makes it and gives it to nobody, since the agents' role
// grants their folders only (invariant D1): an operator attaches it to an
// identity group of the agents that may.
func (c SetupConfig) DatabasePolicy() string {
	if c.Database == nil {
		return ""
	}
	return c.appRole() + "-database-" + c.Database.withDefaults().Role
}

// database prepares the database engine, when asked for.
func (c SetupConfig) database(ctx context.Context, p *preparer) error {
	if c.Database == nil {
		return nil
	}
	d := *c.Database
	m, existed, err := p.mount(ctx, "sys/mounts", d.Mount, map[string]any{"type": "database"})
	if err != nil {
		return err
	}
	if existed && m.Type != "database" {
		return otherMount(d.Mount, m.Type, "database")
	}
	if err := p.object(ctx, d.connection()); err != nil {
		return err
	}
	if err := p.policy(ctx, c.DatabasePolicy(), databasePolicy(d.Mount, d.Role)); err != nil {
		return err
	}
	return p.object(ctx, object{
		name: "database role " + d.Role, path: d.Mount + "/roles/" + d.Role,
		want: map[string]any{
			"db_name":               d.Name,
			"default_ttl":           int64(d.TTL.Seconds()),
			"max_ttl":               int64(d.TTL.Seconds()),
			"creation_statements":   d.Creation,
			"revocation_statements": d.Revocation,
		},
	})
}

// connection is how the store reaches the database. It never shows a password,
// so a changed password alone is not noticed.
func (d DatabaseConfig) connection() object {
	return object{
		name: "database connection " + d.Name, path: d.Mount + "/config/" + d.Name,
		want: map[string]any{
			"plugin_name":    "postgresql-database-plugin",
			"allowed_roles":  []string{d.Role},
			"connection_url": d.ConnectionURL,
			"username":       d.Username,
		},
		view: func(got map[string]any) map[string]any { // written flat, read nested
			details, _ := got["connection_details"].(map[string]any)
			return merge(got, details)
		},
		secrets: func() (map[string]string, error) {
			password, err := d.Password()
			if err != nil {
				return nil, fmt.Errorf("read the database password: %w", err)
			}
			return map[string]string{"password": password}, nil
		},
	}
}

func (d DatabaseConfig) withDefaults() DatabaseConfig {
	d.Mount = orDefault(d.Mount, "database")
	d.Name = orDefault(d.Name, "postgresql")
	d.Role = orDefault(d.Role, "readonly")
	d.TTL = orDefault(d.TTL, MaxDatabaseTTL)
	if len(d.Creation) == 0 {
		d.Creation = DefaultCreation()
	}
	if len(d.Revocation) == 0 {
		d.Revocation = DefaultRevocation()
	}
	return d
}

func (d DatabaseConfig) validate(dryRun bool) error {
	switch {
	case !strings.Contains(d.ConnectionURL, "{{username}}") || !strings.Contains(d.ConnectionURL, "{{password}}"):
		return invalid("the database connection URL must have {{username}} and {{password}} in place of the real ones")
	case d.Username == "":
		return invalid("the database user is missing")
	case d.Password == nil && !dryRun:
		return invalid("the database password is missing")
	case d.TTL > MaxDatabaseTTL:
		return invalid("database credentials may live %s at most", MaxDatabaseTTL)
	}
	return firstError(
		validPath("database mount", d.Mount), validRole("database connection", d.Name),
		validRole("database role", d.Role), validTTL("database credential", d.TTL, d.TTL))
}
