package vault_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/setup"
	"github.com/credenceproject/credence/internal/vault"
)

// database is one of the real PostgreSQL.
type database struct {
	name, host string
	config     vault.DatabaseConfig
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and OpenBao")
	}
	s, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	d := &database{
		name: "app_" + strings.ReplaceAll(uuid.NewString(), "-", ""),
		host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)),
	}
	if err := s.Exec(t.Context(), "CREATE DATABASE "+d.name+" OWNER owner"); err != nil {
		t.Fatal(err)
	}
	d.config = vault.DatabaseConfig{
		ConnectionURL: "postgresql://{{username}}:{{password}}@" + d.host + "/" + d.name + "?sslmode=disable",
		Username:      "owner", Password: func() (string, error) { return ownerPassword, nil },
	}
	d.exec(t, d.connect(t, "owner", ownerPassword),
		"CREATE TABLE tickets (id int)", "INSERT INTO tickets VALUES (7)", "GRANT CREATE ON SCHEMA public TO PUBLIC")
	return d
}

func (d *database) connect(t *testing.T, user, password string) *pgx.Conn {
	t.Helper()
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: d.host, Path: "/" + d.name, RawQuery: "sslmode=disable"}
	c, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (d *database) exec(t *testing.T, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// Credentials work, and when they are revoked nothing of them is left: no role,
// no session, no object that holds the role back.
func TestDatabaseCredentialsAreReallyRevoked(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	d := newDatabase(t)
	for name, creation := range map[string][]string{
		"default SQL": nil,
		// The article grants default privileges to the role, which DROP ROLE alone cannot get over.
		"the article's default privileges": append(vault.DefaultCreation(), `ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "{{name}}"`),
	} {
		config := d.config
		config.Creation = creation
		config.Role = map[bool]string{true: "readonly", false: "article"}[creation == nil]
		w.setup.Database = &config
		w.mustSetup()

		creds := w.read(w.root, "database/creds/"+config.Role)
		user := creds["username"].(string)
		c := d.connect(t, user, creds["password"].(string))
		var id int
		if err := c.QueryRow(t.Context(), "SELECT id FROM tickets").Scan(&id); err != nil || id != 7 {
			t.Errorf("%s: reading = %d, %v, want 7", name, id, err)
		}
		if _, err := c.Exec(t.Context(), "INSERT INTO tickets VALUES (8)"); err == nil {
			t.Errorf("%s: the role may write", name)
		}
		d.exec(t, c, "CREATE TABLE "+config.Role+"_own (id int)")

		w.write(w.root, "sys/leases/revoke-prefix/database/creds/"+config.Role, nil)
		if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("%s: the session outlived its role", name)
		}
		owner := d.connect(t, "owner", ownerPassword)
		var left int
		if err := owner.QueryRow(t.Context(), "SELECT count(*) FROM pg_roles WHERE rolname = $1", user).Scan(&left); err != nil || left != 0 {
			t.Errorf("%s: %d roles left, %v", name, left, err)
		}
		d.exec(t, owner, "DROP TABLE "+config.Role+"_own") // what the role made is its maker's now
	}
}

// The agents' role grants no database credentials; an operator's group does.
func TestDatabaseCredentialsAreForThoseWhomAnOperatorNames(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	w := newWorld(t, func(c *vault.SetupConfig) { c.Database = &d.config })
	a, token := w.register(newAgent("customer-success", "production"))
	agent, _ := w.mustLogin(token)
	const path = "database/creds/readonly"
	if got := status(t, agent, path); got != http.StatusForbidden {
		t.Errorf("creds before = %d, want 403", got)
	}
	w.write(w.root, "identity/group", map[string]any{
		"name": "readers", "policies": []string{w.setup.DatabasePolicy()}, "member_entity_ids": []string{a.EntityID},
	})
	if got := status(t, agent, path); got != http.StatusOK {
		t.Errorf("creds as a member = %d, want 200", got)
	}
	if err := w.client.DisableEntity(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := status(t, agent, path); got != http.StatusForbidden {
		t.Errorf("creds when disabled = %d, want 403", got)
	}
}

func TestSetupOfADatabaseTwiceChangesNothingAndHidesThePassword(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	d := newDatabase(t)
	w.setup.Database = &d.config
	w.setup.DryRun = true
	planned := w.mustSetup().Report.Changes[len(objects):]
	w.setup.DryRun = false
	want := []setup.Change{
		{Object: "secrets mount database", Action: setup.Created},
		{Object: "database connection postgresql", Action: setup.Created},
		{Object: "policy credence-database-readonly", Action: setup.Created},
		{Object: "database role readonly", Action: setup.Created},
	}
	if diff := cmp.Diff(want, planned); diff != "" {
		t.Errorf("planned: %s", diff)
	}
	if diff := cmp.Diff(want, w.mustSetup().Report.Changes[len(objects):]); diff != "" {
		t.Errorf("first run: %s", diff)
	}
	for i := range want {
		want[i].Action = setup.Unchanged
	}
	if diff := cmp.Diff(want, w.mustSetup().Report.Changes[len(objects):]); diff != "" {
		t.Errorf("second run: %s", diff)
	}

	w.setup.Database.Username = "nobody"
	_, err := vault.Setup(t.Context(), w.setup)
	if !isRefused(err) || strings.Contains(err.Error(), ownerPassword) {
		t.Errorf("Setup() with a wrong user = %v, want Refused without the password", err)
	}
}
