package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/credenceproject/credence/internal/registry"
)

// policyDir is where policies are kept in files.
type policyDir struct{ path string }

func (p *policyDir) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.path, "dir", "policies", "`directory` that the policies are kept in")
	_ = cmd.MarkFlagDirname("dir") // the flag exists
}

// policyFile is a policy as its files say it: the members of the API's document.
type policyFile struct {
	key    registry.LayerKey
	fields map[string]json.RawMessage // rules, required, ceiling; and rego and tests from their own files
}

// document is the policy as the server takes it.
func (f policyFile) document() []byte { return mustJSON(f.fields) }

// text is a member that is a string, or "".
func (f policyFile) text(member string) string {
	var s string
	_ = json.Unmarshal(f.fields[member], &s) // what is no string is the server's to refuse
	return s
}

// files are the paths of the policy's document, its Rego, and the tests of that.
func (p policyDir) files(key registry.LayerKey) (document, rego, tests string) {
	base := filepath.Join(p.path, string(key.Tier), key.ID)
	return base + ".yaml", base + ".rego", base + "_test.rego"
}

// read reads the policy of that name. It returns NotFound where none of its files
// is there, and Malformed.
func (p policyDir) read(key registry.LayerKey) (policyFile, error) {
	document, rego, tests := p.files(key)
	f := policyFile{key: key, fields: map[string]json.RawMessage{}}
	found := false
	data, err := readDocumentFile(document, nil)
	switch {
	case err == nil:
		found = true
		if json.Unmarshal(data, &f.fields) != nil || f.fields == nil {
			return f, registry.Malformed.Errorf("invalid_document", "%s: the document is not an object", document)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return f, err
	}
	for member, path := range map[string]string{"rego": rego, "tests": tests} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, fmt.Errorf("read the policy: %w", err)
		}
		if f.fields[member] != nil {
			return f, registry.Malformed.Errorf("invalid_document", "%s has %q, and so has %s: leave one", document, member, path)
		}
		found = true
		f.fields[member] = mustJSON(string(text))
	}
	if !found {
		return f, registry.NotFound.Errorf("not_found", "there is no %s", document)
	}
	return f, nil
}

// names are the policies that the directory has files of, sorted. What is no
// policy's file there is an error: a misspelt tier would go unseen.
func (p policyDir) names() ([]registry.LayerKey, error) {
	var keys []registry.LayerKey
	err := filepath.WalkDir(p.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(p.path, path)
		if err != nil {
			return err
		}
		tier, file := filepath.Split(rel)
		name, ext := strings.TrimSuffix(file, filepath.Ext(file)), filepath.Ext(file)
		switch ext {
		case ".rego":
			name = strings.TrimSuffix(name, "_test")
		case ".yaml":
		default:
			return nil
		}
		key := registry.LayerKey{Tier: registry.Tier(filepath.ToSlash(filepath.Clean(tier))), ID: name}
		if !key.Valid() {
			return registry.Invalid.Errorf("invalid_name", "%s is no policy's file: it would be TIER/ID.yaml with the tier global, team, agent_type or agent", path)
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, advise(fmt.Errorf("there is no directory %s", p.path), "Say where the policies are with --dir, or write them there with 'credence policy pull'.")
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b registry.LayerKey) int { return strings.Compare(a.String(), b.String()) })
	return keys, nil
}

// chosen are the policies that are named, or all that the directory has.
func (p policyDir) chosen(cmd *cobra.Command, names []string) ([]policyFile, error) {
	keys, err := layerKeys(cmd, names)
	if err == nil && len(names) == 0 {
		keys, err = p.names()
	}
	if err != nil {
		return nil, err
	}
	files := make([]policyFile, 0, len(keys))
	for _, key := range keys {
		f, err := p.read(key)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// write writes the policy's files, and removes those of what it has not.
func (p policyDir) write(f policyFile) error {
	document, rego, tests := p.files(f.key)
	if err := os.MkdirAll(filepath.Dir(document), 0o777); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	text, err := f.yaml()
	if err != nil {
		return err
	}
	for path, content := range map[string]string{document: text, rego: f.text("rego"), tests: f.text("tests")} {
		if content == "" {
			err = os.Remove(path)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		} else {
			err = os.WriteFile(path, []byte(content), 0o666)
		}
		if err != nil {
			return fmt.Errorf("write the policy: %w", err)
		}
	}
	return nil
}

// yaml is the document without Rego and tests, in the order in which people read
// it.
func (f policyFile) yaml() (string, error) {
	var doc yaml.Node
	doc.Kind = yaml.MappingNode
	for _, member := range []string{"rules", "required", "ceiling"} {
		raw, ok := f.fields[member]
		if !ok {
			continue
		}
		var value yaml.Node
		if err := yaml.Unmarshal(raw, &value); err != nil { // YAML holds all of JSON
			return "", fmt.Errorf("write the policy as YAML: %w", err)
		}
		node := value.Content[0]
		block(node)
		doc.Content = append(doc.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: member}, node)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return "", fmt.Errorf("write the policy as YAML: %w", err)
	}
	return b.String(), nil
}

// block writes mappings and lists of mappings a line each, and lists of words in
// one line.
func block(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, ":") { // 17:00 is a number to older readers of YAML
		n.Style &^= yaml.DoubleQuotedStyle
	}
	plainList := n.Kind == yaml.SequenceNode
	for _, child := range n.Content {
		block(child)
		plainList = plainList && child.Kind == yaml.ScalarNode
	}
	if plainList {
		n.Style |= yaml.FlowStyle
	}
}

// keyOf is the name that a policy of the server's has.
func keyOf(raw json.RawMessage) (registry.LayerKey, bool) {
	var named struct {
		Tier registry.Tier `json:"tier"`
		ID   string        `json:"id"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return registry.LayerKey{}, false
	}
	key := registry.LayerKey{Tier: named.Tier, ID: named.ID}
	return key, key.Valid()
}

// fromServer is a policy of the server's as files would say it: what is not there
// or says nothing is left out.
func fromServer(raw json.RawMessage) (policyFile, error) {
	var f policyFile
	key, ok := keyOf(raw)
	if err := json.Unmarshal(raw, &f.fields); err != nil || !ok {
		return f, fmt.Errorf("read the server's answer: it is no policy: %w", err)
	}
	f.key = key
	for member, value := range f.fields {
		switch member {
		case "rules", "rego", "tests", "required", "ceiling":
			if s := string(bytes.TrimSpace(value)); s == "null" || s == "false" || s == `""` {
				delete(f.fields, member)
			}
		default: // what the server says of it
			delete(f.fields, member)
		}
	}
	return f, nil
}
