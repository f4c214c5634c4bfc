package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// registrationFlags describe an agent on the command line.
type registrationFlags struct {
	file, config string
	fields       []textField
	scopes       []string
	keys         string
	labels       []string
	perSecond    int64
	perDay       int64
}

// textField is a flag that sets one string of the document.
type textField struct{ flag, key, usage, value string }

func (f *registrationFlags) bind(cmd *cobra.Command) {
	f.fields = []textField{
		{flag: "name", key: "name", usage: "name, unique among the living"},
		{flag: "team", key: "team", usage: "team that owns the agent; one of yours"},
		{flag: "type", key: "agent_type", usage: "agent type, such as support"},
		{flag: "environment", key: "environment", usage: "environment, such as production"},
		{flag: "owner", key: "owner", usage: "whom to reach, such as an e-mail address"},
		{flag: "description", key: "description", usage: "what the agent does"},
		{flag: "expires-at", key: "expires_at", usage: "when the agent expires, such as 2027-01-31T00:00:00Z"},
		{flag: "credentials-expire-at", key: "credentials_expire_at", usage: "when its credentials expire"},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "JSON or YAML `file` that describes the agent; - is the standard input")
	for i := range f.fields {
		field := &f.fields[i]
		flags.StringVar(&field.value, field.flag, "", field.usage)
		noFiles(cmd, field.flag)
	}
	flags.StringSliceVar(&f.scopes, "scope", nil, "`scope`, again for each (default: the type's)")
	flags.StringArrayVar(&f.labels, "label", nil, "label as `key=value`, again for each")
	flags.StringVar(&f.config, "config", "", "JSON or YAML `file` with the configuration that the agent type asks for")
	flags.Int64Var(&f.perSecond, "quota-rps", 0, "`requests` per second (default: the type's)")
	flags.Int64Var(&f.perDay, "quota-rpd", 0, "`requests` per day (default: the type's)")
	flags.StringVar(&f.keys, "jwks", "", "`file` with the agent's public keys, a JWK Set or PEM: it signs with its key and has no secret")
	noFiles(cmd, "scope", "label", "quota-rps", "quota-rpd")
}

// document is the registration as the server takes it. Without flags it is the
// file's document as it is; whether it describes an agent is the server's to say,
// with all faults at once.
func (f *registrationFlags) document(cmd *cobra.Command, in io.Reader, extra ...override) ([]byte, error) {
	if f.file == "-" && f.config == "-" {
		return nil, usageErrorf(cmd, "-f and --config cannot both read the standard input")
	}
	overrides, err := f.overrides(cmd, in)
	if err != nil {
		return nil, err
	}
	overrides = append(overrides, extra...)
	if f.file == "" {
		if len(overrides) == 0 {
			return nil, usageErrorf(cmd, "describe the agent with -f or with flags such as --name")
		}
		return apply(nil, overrides)
	}
	document, err := readDocumentFile(f.file, in)
	if err != nil || len(overrides) == 0 {
		return document, err
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(document, &fields) != nil || fields == nil {
		return nil, registry.Invalid.Errorf("invalid_document", "%s: the document is not an object, so flags cannot change it", f.file)
	}
	return apply(fields, overrides)
}

// override sets one member of the document, or, when within is set, one member
// of that object in it.
type override struct {
	within, key string
	value       any
}

// overrides are what the flags that were given say.
func (f *registrationFlags) overrides(cmd *cobra.Command, in io.Reader) ([]override, error) {
	var all []override
	given := cmd.Flags().Changed
	for _, field := range f.fields {
		if given(field.flag) {
			all = append(all, override{key: field.key, value: field.value})
		}
	}
	if given("scope") {
		all = append(all, override{key: "scopes", value: append([]string{}, f.scopes...)})
	}
	for _, label := range f.labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok {
			return nil, usageErrorf(cmd, "--label %q is not key=value", label)
		}
		all = append(all, override{within: "labels", key: key, value: value})
	}
	if given("jwks") {
		keys, err := readKeys(f.keys)
		if err != nil {
			return nil, err
		}
		all = append(all, override{key: "jwks", value: keys}, override{key: "authentication", value: "private_key_jwt"})
	}
	if given("quota-rps") {
		all = append(all, override{within: "quota", key: "requests_per_second", value: f.perSecond})
	}
	if given("quota-rpd") {
		all = append(all, override{within: "quota", key: "requests_per_day", value: f.perDay})
	}
	if given("config") {
		config, err := readDocumentFile(f.config, in)
		if err != nil {
			return nil, err
		}
		all = append(all, override{key: "config", value: json.RawMessage(config)})
	}
	return all, nil
}

// apply returns the document with the overrides in it.
func apply(fields map[string]json.RawMessage, overrides []override) ([]byte, error) {
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	for _, o := range overrides {
		if o.within == "" {
			fields[o.key] = mustJSON(o.value)
			continue
		}
		inner := map[string]json.RawMessage{}
		if raw, ok := fields[o.within]; ok && (json.Unmarshal(raw, &inner) != nil || inner == nil) {
			return nil, registry.Invalid.Errorf("invalid_document", "/%s is not an object, so a flag cannot change it", o.within)
		}
		inner[o.key] = mustJSON(o.value)
		fields[o.within] = mustJSON(inner)
	}
	return mustJSON(fields), nil
}

// readDocumentFile reads JSON, or YAML as the JSON that it stands for. It returns
// Malformed and the other kinds of strictjson, with the file's name.
func readDocumentFile(path string, in io.Reader) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the document: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, strictjson.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if len(data) > strictjson.MaxBytes {
		return nil, registry.TooLarge.Errorf("body_too_large", "%s is larger than %d bytes", path, strictjson.MaxBytes)
	}
	if !isJSON(path, data) {
		if data, err = yamlToJSON(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := strictjson.Check(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// readKeys reads a file of public keys: a JWK Set as it is, PEM as a string.
func readKeys(path string) (json.RawMessage, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	if bytes.Contains(data, []byte("PRIVATE KEY")) {
		return nil, registry.Invalid.Errorf("private_key", "%s holds a private key, which must never leave its owner; give the public one", path)
	}
	if isJSON("", data) {
		return data, strictjson.Check(data)
	}
	return mustJSON(string(data)), nil
}

// isJSON goes by the file's name, and else by how the document begins.
func isJSON(path string, data []byte) bool {
	switch filepath.Ext(path) {
	case ".json":
		return true
	case ".yaml", ".yml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))
}

// mustJSON encodes what always can be encoded: strings, numbers, and JSON that
// was read before. Anything else is an empty document, which no server takes.
func mustJSON(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // strings as they came
	if err := enc.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}
