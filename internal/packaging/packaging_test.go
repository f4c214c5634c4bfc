// Package packaging_test holds the Dockerfile and docker-compose.yml to the code.
// No container engine is needed: the Compose file is loaded as Docker Compose
// loads it, and the programs that the images would run are run as they are.
package packaging_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/credenceproject/credence/internal/config"
)

// root is the top of the checkout.
const root = "../.."

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// find returns what the first group of pattern matches in text.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	return m[1]
}

// load reads docker-compose.yml with schema validation, interpolation and the
// consistency checks, against variables and nothing else of this machine.
func load(ctx context.Context, variables map[string]string) (*types.Project, error) {
	var env []string
	for k, v := range variables {
		env = append(env, k+"="+v)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithWorkingDirectory(root), cli.WithEnv(env), cli.WithInterpolation(true), cli.WithConsistency(true), cli.WithNormalization(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// example returns the variables of env.example, which are those that a user sets.
func example(t *testing.T) map[string]string {
	t.Helper()
	variables := map[string]string{}
	for line := range strings.Lines(read(t, "deploy", "compose", "env.example")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || value == "" {
			t.Fatalf("env.example: %q", line)
		}
		variables[name] = value
	}
	return variables
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t.Context(), example(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// settings returns Credence's settings by the name of their variable; a secret's
// by that of its file too.
func settings() map[string]config.Setting {
	all := map[string]config.Setting{}
	for _, s := range config.Settings() {
		all[s.Env] = s
		if s.Secret {
			all[s.Env+"_FILE"] = s
		}
	}
	return all
}

// ours are the services that run Credence's own image.
func ours(p *types.Project) types.Services {
	services := maps.Clone(p.Services)
	maps.DeleteFunc(services, func(_ string, s types.ServiceConfig) bool { return s.Build == nil })
	return services
}
