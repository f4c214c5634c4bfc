package packaging_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/local"
)

func TestDockerfilePassesHadolint(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs hadolint")
	}
	found, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(found.Dir, "bin", "hadolint"), "--no-color", "Dockerfile")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("hadolint: %v\n%s", err, out)
	}
}

func TestImageIsBuiltWithAGoThatTheModuleTakes(t *testing.T) {
	t.Parallel()
	module := find(t, read(t, "go.mod"), `^go (\d+\.\d+)\.\d+$`)
	if image := find(t, read(t, "Dockerfile"), `^FROM golang:(\d+\.\d+)\.\d+ AS build$`); image != module {
		t.Errorf("Go %s in the Dockerfile, %s in go.mod", image, module)
	}
}

func TestImageHasNoShellAndNoRoot(t *testing.T) {
	t.Parallel()
	stages := strings.Split(read(t, "Dockerfile"), "\nFROM ")
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") {
		t.Errorf("the last stage begins with %q", strings.SplitN(last, "\n", 2)[0])
	}
	uid, err := strconv.Atoi(find(t, last, `^USER (\d+):\d+$`))
	if err != nil || uid == 0 {
		t.Errorf("user %d, %v", uid, err)
	}
	if regexp.MustCompile(`(?m)^RUN `).MatchString(last) {
		t.Error("the last stage has no shell to run anything")
	}
	// The shell form of these would need a shell.
	for _, instruction := range []string{"ENTRYPOINT", "CMD"} {
		find(t, last, `^`+instruction+` (\[".*"\])$`)
	}
	find(t, last, `^HEALTHCHECK [^\n]*\\\n +CMD (\["/credence", "healthcheck".*\])$`)
}

func TestImageSetsOnlyWhatCredenceReads(t *testing.T) {
	t.Parallel()
	known := settings()
	for _, m := range regexp.MustCompile(`\b(CREDENCE_\w+)=`).FindAllStringSubmatch(read(t, "Dockerfile"), -1) {
		if _, ok := known[m[1]]; !ok {
			t.Errorf("Credence does not read %s", m[1])
		}
	}
}

func TestEverythingTheBuildNeedsIsInItsContext(t *testing.T) {
	t.Parallel()
	ignore := read(t, ".dockerignore")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{if and .Module .Module.Main}}{{.Dir}}{{end}}`, "./cmd/credence")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.FieldsSeq(string(out)) {
		path, err := filepath.Rel(top, dir)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(path, "/"); first != "." && !strings.Contains(ignore, "\n!"+first+"\n") {
			t.Errorf("%s is not in the build's context", path)
		}
	}
}

// OpenBao runs the configuration of the Compose file, with other paths and ports.
func TestOpenBaoTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs OpenBao")
	}
	tools, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	api, cluster := freeAddress(t), freeAddress(t)
	file := filepath.Join(dir, "openbao.hcl")
	configuration := strings.NewReplacer("/openbao/file", dir, "/run/secrets/openbao_unseal_key", filepath.Join(dir, "key"),
		"0.0.0.0:8200", api, "0.0.0.0:8201", cluster).Replace(read(t, "deploy", "openbao", "openbao.hcl"))
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, tools.Bao, "server", "-config="+file)
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"HOME=" + dir}, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if status := health(ctx, api); status != 0 {
			if status != http.StatusNotImplemented { // not initialised, as documented
				t.Errorf("status %d", status)
			}
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("OpenBao ended: %v\n%s", err, log.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("OpenBao ended by itself")
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := local.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// health is the status of OpenBao's health, or 0 when it does not answer.
func health(ctx context.Context, address string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/sys/health", nil)
	if err != nil {
		return 0
	}
	client := http.Client{}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer client.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}
