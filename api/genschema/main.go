// Command genschema writes the JSON Schemas of the request documents from
// openapi.yaml. "go generate ./api" runs it, in api.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// documents names the components that become files of their own.
var documents = []struct{ component, name string }{
	{"AgentRegistration", "agent-registration"},
	{"AgentSwitch", "agent-switch"},
	{"AgentTransfer", "agent-transfer"},
	{"AgentRotation", "agent-rotation"},
	{"EnvironmentDocument", "environment"},
	{"AgentTypeDocument", "agent-type"},
	{"TeamDocument", "team"},
	{"ResourceDocument", "resource"},
	{"DriftRepair", "drift-repair"},
	{"PolicyDocument", "policy"},
	{"PolicyRollback", "policy-rollback"},
}

func main() {
	spec := flag.String("spec", "../openapi.yaml", "the OpenAPI document to read")
	out := flag.String("out", "schemas", "the directory to write to")
	flag.Parse()
	if err := run(*spec, *out); err != nil {
		fmt.Fprintln(os.Stderr, "genschema:", err)
		os.Exit(1)
	}
}

func run(spec, out string) error {
	data, err := os.ReadFile(spec)
	if err != nil {
		return err
	}
	files, err := generate(data)
	if err != nil {
		return fmt.Errorf("%s: %w", spec, err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files, by name, that the OpenAPI document makes. The
// same document makes the same bytes.
func generate(spec []byte) (map[string][]byte, error) {
	var openapi struct {
		Components struct {
			Schemas map[string]any `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(spec, &openapi); err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(documents))
	for _, d := range documents {
		t := translator{components: openapi.Components.Schemas}
		schema, err := t.document(d.component, d.name)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(schema); err != nil {
			return nil, fmt.Errorf("encode %s: %w", d.component, err)
		}
		files[d.name+".schema.json"] = b.Bytes()
	}
	return files, nil
}
