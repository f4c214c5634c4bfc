package local_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/local"
)

func TestTwoOfEachRunSideBySide(t *testing.T) {
	t.Parallel()
	one, two := startOpenBao(t, local.OpenBaoOptions{}), startOpenBao(t, local.OpenBaoOptions{})
	if one.Address == two.Address || one.RootToken == two.RootToken {
		t.Errorf("two OpenBaos share an address (%s) or a root token", one.Address)
	}
	if got := lookupSelf(t, one.Address, two.RootToken); got != http.StatusForbidden {
		t.Errorf("one took the other's root token: status %d", got)
	}
	first, second := startPostgres(t, local.PostgresOptions{}), startPostgres(t, local.PostgresOptions{})
	if err := first.Exec(t.Context(), "CREATE DATABASE mine"); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, second.DSN("mine")); err == nil {
		t.Error("a database of the first is in the second")
	}
}

func TestOpenBaoTakesFurtherConfiguration(t *testing.T) {
	t.Parallel()
	audit := filepath.Join(t.TempDir(), "audit.log")
	b := startOpenBao(t, local.OpenBaoOptions{Config: `audit "file" "to-file" { options { file_path = "` + audit + `" } }`})
	if got := lookupSelf(t, b.Address, b.RootToken); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	content, err := os.ReadFile(audit)
	if err != nil || !strings.Contains(string(content), "auth/token/lookup-self") {
		t.Errorf("the request is not in the audit log: %v", err)
	}
}

func TestPostgresAsksForThePasswordOnTCP(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, local.PostgresOptions{})
	conn, err := connect(t, p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil || version != 18 {
		t.Errorf("version %d, %v", version, err)
	}
	if _, err := connect(t, strings.Replace(p.DSN("postgres"), password(t, p), "wrong", 1)); err == nil {
		t.Error("a wrong password was taken")
	}
}

func TestPostgresBeginsEmptyAndKeepsItsLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	for range 2 {
		p := startPostgres(t, local.PostgresOptions{Dir: dir, Port: local.SocketOnly})
		if err := p.Exec(t.Context(), "CREATE DATABASE mine"); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if p.Log != filepath.Join(dir, "postgres.log") {
			t.Errorf("the log is at %s, want it in %s", p.Log, dir)
		}
		if _, err := os.Stat(p.Log); err != nil {
			t.Error(err)
		}
	}
}

func TestDoneAndErrTellThatAServerEnded(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{})
	if err := b.Err(); err != nil {
		t.Errorf("Err() = %v while it runs", err)
	}
	process, err := os.FindProcess(b.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.Done()
	if err := b.Err(); err == nil || !strings.HasPrefix(err.Error(), "OpenBao ended (signal: killed): ") {
		t.Errorf("Err() = %v", err)
	}
}

func lookupSelf(t *testing.T, address, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/v1/auth/token/lookup-self", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	client := http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func connect(t *testing.T, dsn string) (*pgx.Conn, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
	}
	return conn, err
}

func password(t *testing.T, p *local.Postgres) string {
	t.Helper()
	u, err := url.Parse(p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	password, ok := u.User.Password()
	if !ok || len(password) < 20 {
		t.Fatalf("no random password in the DSN")
	}
	return password
}
