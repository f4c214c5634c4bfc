package emulator_test

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// recording is one file of recorded traffic between go-auth0's own tests and a
// real tenant.
type recording struct {
	name         string
	interactions []interaction
}

type interaction struct {
	Request struct {
		Method string `yaml:"method"`
		URL    string `yaml:"url"`
		Body   string `yaml:"body"`
	} `yaml:"request"`
	Response struct {
		Code int    `yaml:"code"`
		Body string `yaml:"body"`
	} `yaml:"response"`
}

// readRecordings reads the recordings that ship in the go-auth0 module.
func readRecordings(t *testing.T) []recording {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/auth0/go-auth0").Output()
	if err != nil {
		t.Fatalf("finding the go-auth0 module: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "test", "data", "recordings")
	var recordings []recording
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct {
			Interactions []interaction `yaml:"interactions"`
		}
		if err := yaml.Unmarshal(data, &file); err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		recordings = append(recordings, recording{strings.TrimSuffix(filepath.ToSlash(name), ".yaml"), file.Interactions})
		return err
	})
	if err != nil {
		t.Fatalf("reading the recordings: %v", err)
	}
	return recordings
}

// recordedID matches the identifiers that a tenant gives out, in a path.
var recordedID = regexp.MustCompile(`/([A-Za-z]+_)?[A-Za-z0-9-]{16,}(/|$)`)

// resource is the part of the path after /api/v2/, with {id} for identifiers.
func (i interaction) resource() string {
	u, err := url.Parse(i.Request.URL)
	if err != nil {
		return ""
	}
	path := strings.TrimPrefix(u.Path, "/api/v2/")
	if path == "actions/triggers/post-login/bindings" {
		return "actions/triggers/{trigger}/bindings"
	}
	for recordedID.MatchString(path) && !isWord(recordedID.FindString(path)) {
		path = recordedID.ReplaceAllString(path, "/{id}$2")
	}
	return path
}

// isWord spares the long words of paths.
func isWord(segment string) bool {
	return slices.Contains([]string{"organizations", "rotate-secret"}, strings.Trim(segment, "/"))
}

// kind names requests that are answered alike.
func (i interaction) kind() string { return i.Request.Method + " " + i.resource() }

func (i interaction) succeeded() bool { return i.Response.Code < 300 }

// decode parses a body; what is not JSON is nil.
func decode(body string) any {
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return nil
	}
	return v
}

// keyPaths lists every key of v with those around it, as in bindings[].action.id.
func keyPaths(v any) []string {
	var paths []string
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				path := strings.TrimPrefix(prefix+"."+name, ".")
				paths = append(paths, path)
				walk(path, inner)
			}
		case []any:
			for _, inner := range v {
				walk(prefix+"[]", inner)
			}
		}
	}
	walk("", v)
	slices.Sort(paths)
	return slices.Compact(paths)
}

// pairIDs calls pair with every identifier that stands at the same place in
// both values.
func pairIDs(recorded, ours any, pair func(recorded, ours string)) {
	switch recorded := recorded.(type) {
	case map[string]any:
		ours, ok := ours.(map[string]any)
		if !ok {
			return
		}
		for name, v := range recorded {
			theirs, isText := v.(string)
			mine, alsoText := ours[name].(string)
			if (name == "id" || name == "client_id") && isText && alsoText {
				pair(theirs, mine)
				continue
			}
			pairIDs(v, ours[name], pair)
		}
	case []any:
		ours, ok := ours.([]any)
		if !ok {
			return
		}
		for i := range min(len(recorded), len(ours)) {
			pairIDs(recorded[i], ours[i], pair)
		}
	}
}
