package e2e_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// devFile is what a dev system leaves for scripts, as far as these tests read it.
type devFile struct {
	API            string
	Issuer         string
	AdminToken     string `json:"admin_token"`
	DeveloperToken string `json:"developer_token"`
	Vault          struct {
		Address   string
		RootToken string `json:"root_token"`
	}
	Ready bool
}

// devArgs are `credence dev` on free ports.
func devArgs(t testing.TB, more ...string) []string {
	t.Helper()
	tools := must(local.FindTools(""))(t).Dir
	return append([]string{"dev", "--tools", tools, "--port", "0", "--metrics-port", "0", "--issuer-port", "0", "--vault-port", "0", "--postgres-port", "0", "--opa-port", "0"}, more...)
}

// readDev reads dev.json of the directory, or reports that it is not ready.
func readDev(dir string) (d devFile, ready bool) {
	b, err := os.ReadFile(filepath.Join(dir, ".credence", "dev.json"))
	return d, err == nil && json.Unmarshal(b, &d) == nil && d.Ready
}

// TestInvariant_D3_DevSystemsKeepToThemselves runs two side by side, one in the
// foreground and one in the background, holds both to what checkDev asks of them,
// and ends one by Ctrl-C and one by kill -9.
func TestInvariant_D3_DevSystemsKeepToThemselves(t *testing.T) {
	t.Parallel()
	realParts(t)
	one, two := t.TempDir(), t.TempDir()
	foreground := start(t, one, nil, nil, devArgs(t)...)
	detached := start(t, two, nil, nil, devArgs(t, "--detach")...)
	if code := detached.wait(t); code != 0 {
		t.Fatalf("dev --detach: exit %d\n%s%s", code, detached.stdout, detached.stderr)
	}
	if said := detached.stdout.String(); !strings.Contains(said, "credence dev stop stops all of it") || strings.Contains(said, "Ctrl-C") {
		t.Errorf("dev --detach says of what stops it:\n%s", said)
	}
	status := devStatus(t, two)
	background := familyOf(t, status.Pid)
	t.Cleanup(func() { _ = syscall.Kill(status.Pid, syscall.SIGKILL) })
	if !status.Running || !status.Ready || len(background) < 4 {
		t.Errorf("status %+v of %d processes", status, len(background))
	}
	eventually(t, "the dev system in the foreground", func() bool {
		select {
		case <-foreground.ended:
			t.Fatalf("it ended: %s%s", foreground.stdout, foreground.stderr)
		default:
		}
		_, ready := readDev(one)
		return ready
	})
	for dir, pid := range map[string]int{one: foreground.cmd.Process.Pid, two: status.Pid} {
		checkDev(t, dir)
		checkDevOPA(t, dir, pid)
	}
	checkDevRefusals(t, one)

	if said := foreground.stdout.String(); !strings.Contains(said, "Ctrl-C stops all of it") {
		t.Errorf("dev says of what stops it:\n%s", said)
	}
	family := familyOf(t, foreground.cmd.Process.Pid)
	foreground.signal(syscall.SIGINT)
	if code := foreground.wait(t); code != 0 || !strings.Contains(foreground.stdout.String(), "Stopped.") {
		t.Errorf("Ctrl-C: exit %d\n%s%s", code, foreground.stdout, foreground.stderr)
	}
	family.wantGone(t)
	if _, err := os.Stat(filepath.Join(one, ".credence", "dev.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dev.json is still there: %v", err)
	}
	checkDev(t, two) // goes on
	if err := syscall.Kill(status.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	background.wantGone(t)
	if devStatus(t, two).Running {
		t.Error("a dev system that was killed counts as running")
	}
	if p := start(t, two, nil, nil, "dev", "status"); p.wait(t) != 1 {
		t.Errorf("dev status: %s%s", p.stdout, p.stderr)
	}
}

// TestDevStop ends what --detach left running.
func TestDevStop(t *testing.T) {
	t.Parallel()
	realParts(t)
	dir := t.TempDir()
	if p := start(t, dir, nil, nil, devArgs(t, "--detach")...); p.wait(t) != 0 || !strings.Contains(p.stdout.String(), "Ready in") {
		t.Fatalf("dev --detach: %s%s", p.stdout, p.stderr)
	}
	status := devStatus(t, dir)
	family := familyOf(t, status.Pid)
	t.Cleanup(func() {
		if devStatus(t, dir).Running {
			_ = syscall.Kill(status.Pid, syscall.SIGKILL)
		}
	})
	if p := start(t, dir, nil, nil, devArgs(t, "--detach")...); p.wait(t) != 1 || !strings.Contains(p.stderr.String(), "credence dev stop") {
		t.Errorf("a second one in the same directory: %s%s", p.stdout, p.stderr)
	}
	for _, says := range []string{"Stopped.", "No dev system runs"} {
		if p := start(t, dir, nil, nil, "dev", "stop"); p.wait(t) != 0 || !strings.Contains(p.stdout.String(), says) {
			t.Errorf("dev stop: %s%s", p.stdout, p.stderr)
		}
		family.wantGone(t)
	}
}

type devStatusReport struct {
	Running, Ready bool
	Pid            int
}

func devStatus(t testing.TB, dir string) devStatusReport {
	t.Helper()
	p := start(t, dir, nil, nil, "dev", "status", "--json")
	if code := p.wait(t); code != 0 {
		t.Fatalf("dev status --json: exit %d: %s", code, p.stderr)
	}
	var s devStatusReport
	if err := json.Unmarshal(p.stdout.bytes(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkDev holds a running dev system to invariant D3: its state is for its user
// alone and kept out of git, its tokens work, and it serves no other hosts.
func checkDev(t testing.TB, dir string) {
	t.Helper()
	d, ready := readDev(dir)
	if !ready {
		t.Fatalf("%s is not ready", dir)
	}
	state := filepath.Join(dir, ".credence")
	for path, want := range map[string]fs.FileMode{state: 0o700 | fs.ModeDir, filepath.Join(state, "dev.json"): 0o600} {
		if info := must(os.Stat(path))(t); info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if ignored := must(os.ReadFile(filepath.Join(state, ".gitignore")))(t); string(ignored) != "*\n" {
		t.Errorf(".gitignore says %q", ignored)
	}
	tests := []struct {
		url, host, token string
		status           int
	}{
		{d.API + "/agents/demo-agent", "", d.DeveloperToken, 200},
		{d.API + "/agents?lifecycle=decommissioned", "", d.AdminToken, 200},
		{d.API + "/agents?lifecycle=decommissioned", "", d.DeveloperToken, 403},
		{d.API + "/agents", "", "", 401},
		{d.API + "/agents", "evil.example.com", d.AdminToken, 421},
		{d.Issuer + ".well-known/jwks.json", "evil.example.com", "", 421},
		{d.Issuer + ".well-known/jwks.json", "", "", 200},
		{d.Vault.Address + "/v1/auth/token/lookup-self", "", "", 403},
	}
	for _, tt := range tests {
		r := must(http.NewRequestWithContext(t.Context(), "GET", tt.url, nil))(t)
		if r.Host = tt.host; tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		if got := send(t, client, r); got.status != tt.status {
			t.Errorf("%s as host %q: %d, want %d", tt.url, tt.host, got.status, tt.status)
		}
	}
	r := must(http.NewRequestWithContext(t.Context(), "GET", d.Vault.Address+"/v1/auth/token/lookup-self", nil))(t)
	r.Header.Set("X-Vault-Token", d.Vault.RootToken)
	send(t, client, r).want(t, 200)
	for place, content := range map[string][]byte{"the log": must(os.ReadFile(filepath.Join(state, "credence.log")))(t)} {
		for what, secret := range map[string]string{"the admin's token": d.AdminToken, "the developer's token": d.DeveloperToken, "the root token": d.Vault.RootToken} {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s is in %s", what, place)
			}
		}
	}
}

// checkDevRefusals: what keeps a dev system from starting is said in one line.
func checkDevRefusals(t testing.TB, running string) {
	t.Helper()
	d, _ := readDev(running)
	port := func(raw string) string {
		_, port, err := net.SplitHostPort(must(url.Parse(raw))(t).Host)
		return must(port, err)(t)
	}
	empty := t.TempDir()
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"OpenBao's port", devArgs(t, "--vault-port", port(d.Vault.Address)), "--vault-port"},
		{"the tenant's port", devArgs(t, "--issuer-port", port(d.Issuer)), "--issuer-port"},
		{"the API's port", devArgs(t, "--port", port(d.API)), "--port"},
		{"no tools", []string{"dev", "--tools", empty}, "make tools"},
		{"no tools anywhere", []string{"dev"}, "make tools"},
	}
	for _, tt := range tests {
		p := start(t, t.TempDir(), nil, nil, tt.args...)
		code := p.wait(t)
		says := strings.TrimSpace(p.stderr.String())
		if code != 1 || strings.Count(says, "\n") != 0 || !strings.Contains(says, tt.says) {
			t.Errorf("%s: exit %d\n%s", tt.name, code, says)
		}
	}
}
