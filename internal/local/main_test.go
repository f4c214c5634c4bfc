package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// helperEnv makes the test binary a program that starts both servers, says which
// they are and waits to be killed.
const helperEnv = "CREDENCE_LOCAL_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

// family is what the helper started.
type family struct {
	Servers, Watchdogs []int // process ids
	Temporary          []string
}

func helper() error {
	tools, err := local.FindTools("")
	if err != nil {
		return err
	}
	b, err := local.StartOpenBao(context.Background(), local.OpenBaoOptions{Tools: tools})
	if err != nil {
		return err
	}
	p, err := local.StartPostgres(context.Background(), local.PostgresOptions{Tools: tools, Port: local.SocketOnly})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(family{Servers: []int{b.Pid(), p.Pid()}, Watchdogs: []int{b.Watchdog(), p.Watchdog()}, Temporary: []string{b.Temporary(), p.Temporary()}})
}

func tools(t *testing.T) local.Tools {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the real programs")
	}
	found, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func startOpenBao(t *testing.T, o local.OpenBaoOptions) *local.OpenBao {
	t.Helper()
	o.Tools = tools(t)
	b, err := local.StartOpenBao(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Errorf("Stop() = %v", err)
		}
	})
	return b
}

func startPostgres(t *testing.T, o local.PostgresOptions) *local.Postgres {
	t.Helper()
	o.Tools = tools(t)
	p, err := local.StartPostgres(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("Stop() = %v", err)
		}
	})
	return p
}
