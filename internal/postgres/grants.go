package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// serverGrants are what the server's own role may do beyond, or short of, reading
// and writing every table. Whatever is kept as a record it can add to and not
// rewrite.
var serverGrants = []string{
	`REVOKE UPDATE, DELETE ON audit_events, changes, client_intents, agent_clients, policy_versions FROM %[1]s`,
	`GRANT UPDATE (outcome, client_id) ON client_intents TO %[1]s`,
	`REVOKE DELETE ON agents, agent_steps, registry_head FROM %[1]s`,
	`REVOKE INSERT, UPDATE, DELETE ON goose_db_version FROM %[1]s`,
}

const (
	// A role that owns the tables, or may act as their owner, which superusers may,
	// takes back whatever was taken from it.
	serverRoleSQL = `
	SELECT EXISTS (
	    SELECT FROM pg_class c
	    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND pg_has_role(r.oid, c.relowner, 'MEMBER'))
	FROM pg_roles r
	WHERE r.rolname = $1`
	currentSchemaSQL = `SELECT current_schema(), current_database()`
)

// GrantServer lets role, which exists and is not the owner of the tables, do in
// the database at dsn what the server needs, and no more: above all it cannot
// rewrite the audit log. dsn is the owner's. It is to be called after each
// migration; what the role was granted before is replaced, in one transaction.
//
// It returns NotFound when there is no such role, and Conflict when the role could
// do everything whatever it is granted.
func GrantServer(ctx context.Context, dsn, role string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("the database URL is not valid: expected postgres://user:password@host:port/database")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", translate(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return grantServer(ctx, tx, role) }); err != nil {
		return fmt.Errorf("grant to the server's role: %w", translate(err))
	}
	return nil
}

func grantServer(ctx context.Context, tx pgx.Tx, role string) error {
	var mayAll bool
	err := tx.QueryRow(ctx, serverRoleSQL, role).Scan(&mayAll)
	if errors.Is(err, pgx.ErrNoRows) {
		return registry.NotFound.Errorf("role_missing", "there is no database role %q; create it first", role)
	}
	if err != nil {
		return err
	}
	if mayAll {
		return registry.Conflict.Errorf("role_too_strong", "the database role %q is a superuser or owns the tables; the server needs one that does not", role)
	}
	var schema, database string
	if err := tx.QueryRow(ctx, currentSchemaSQL).Scan(&schema, &database); err != nil {
		return err
	}
	quoted, inSchema := pgx.Identifier{role}.Sanitize(), pgx.Identifier{schema}.Sanitize()
	statements := []string{
		`GRANT CONNECT ON DATABASE ` + pgx.Identifier{database}.Sanitize() + ` TO %[1]s`,
		`GRANT USAGE ON SCHEMA %[2]s TO %[1]s`,
		`REVOKE ALL ON ALL TABLES IN SCHEMA %[2]s FROM %[1]s`,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[2]s TO %[1]s`,
		`GRANT USAGE ON ALL SEQUENCES IN SCHEMA %[2]s TO %[1]s`,
	}
	for _, statement := range append(statements, serverGrants...) {
		if _, err := tx.Exec(ctx, fmt.Sprintf(statement, quoted, inSchema)); err != nil {
			return err
		}
	}
	return nil
}
