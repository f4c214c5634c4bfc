package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const (
	maxManagementBody = 1 << 20
	maxTokenBody      = 64 << 10
	maxNesting        = 32
)

// readBody reads at most limit bytes. It fails with 413 when there is more.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, apiErrorf(http.StatusRequestEntityTooLarge, "", "Payload content length greater than maximum allowed: %d", limit)
	}
	if err != nil {
		return nil, apiErrorf(http.StatusBadRequest, "", "The request body could not be read.")
	}
	return data, nil
}

// decodeObject reads a JSON object from a management request.
func decodeObject(w http.ResponseWriter, r *http.Request) (document, error) {
	data, err := readBody(w, r, maxManagementBody)
	if err != nil {
		return nil, err
	}
	if mediaType(r) != "application/json" {
		return nil, apiErrorf(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
	}
	return parseObject(data)
}

// parseObject parses one JSON object with nothing after it and at most
// maxNesting levels.
func parseObject(data []byte) (document, error) {
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil || doc == nil {
		return nil, apiErrorf(http.StatusBadRequest, "invalid_body", "Invalid request payload JSON format")
	}
	if !shallow(doc, maxNesting) {
		return nil, invalidBody("nested deeper than %d levels", maxNesting)
	}
	return doc, nil
}

// shallow reports whether v nests at most levels deep.
func shallow(v any, levels int) bool {
	if levels < 0 {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			if !shallow(inner, levels-1) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(inner any) bool { return !shallow(inner, levels-1) })
	}
	return true
}

func mediaType(r *http.Request) string {
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mt
}

// schema says which properties a body may have and what each must look like.
type schema struct {
	required   []string
	properties map[string]rule
}

// rule returns what is wrong with a property's value, or "".
type rule func(v any) string

// check compares doc with the schema and reports the first fault as Auth0 does.
// A null value is left to the endpoint where nullable lists the property.
func (s schema) check(doc document, nullable ...string) error {
	var unknown, missing []string
	for name := range doc {
		if _, ok := s.properties[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	for _, name := range s.required {
		if _, ok := doc[name]; !ok {
			missing = append(missing, name)
		}
	}
	slices.Sort(unknown)
	switch {
	case len(unknown) > 0:
		return invalidBody("'Additional properties not allowed: %s'", strings.Join(unknown, ","))
	case len(missing) > 0:
		return invalidBody("'Missing required property: %s'", strings.Join(missing, ","))
	}
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		v := doc[name]
		if v == nil && slices.Contains(nullable, name) {
			continue
		}
		if fault := s.properties[name](v); fault != "" {
			return invalidBody("'%s' on property %s", fault, name)
		}
	}
	return nil
}

// without returns the schema with fewer properties and nothing required, for a
// PATCH.
func (s schema) without(names ...string) schema {
	kept := make(map[string]rule, len(s.properties))
	for name, r := range s.properties {
		if !slices.Contains(names, name) {
			kept[name] = r
		}
	}
	return schema{properties: kept}
}
