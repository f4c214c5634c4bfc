package vault_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// server is the one OpenBao of all tests here; each takes a namespace of it.
var server = sync.OnceValues(func() (*local.OpenBao, error) {
	tools, err := local.FindTools("")
	if err != nil {
		return nil, err
	}
	s, err := local.StartOpenBao(context.Background(), local.OpenBaoOptions{Tools: tools})
	if err == nil {
		atEnd(s.Stop)
	}
	return s, err
})

// postgres is the one PostgreSQL; each test makes a database of its own, owned
// by the role owner, who may make roles and is no superuser.
var postgres = sync.OnceValues(func() (*local.Postgres, error) {
	tools, err := local.FindTools("")
	if err != nil {
		return nil, err
	}
	s, err := local.StartPostgres(context.Background(), local.PostgresOptions{Tools: tools})
	if err != nil {
		return nil, err
	}
	atEnd(s.Stop)
	return s, s.Exec(context.Background(), "CREATE ROLE owner LOGIN CREATEROLE PASSWORD '"+ownerPassword+"'")
})

const ownerPassword = "owner-password-of-the-test"

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range stops.all {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// stops end what tests share.
var stops struct {
	mu  sync.Mutex
	all []func() error
}

func atEnd(stop func() error) {
	stops.mu.Lock()
	defer stops.mu.Unlock()
	stops.all = append(stops.all, stop)
}
