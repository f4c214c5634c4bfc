package httpapi

import (
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// etag is the field's value for a state's tag.
func etag(tag string) *string {
	quoted := `"` + tag + `"`
	return &quoted
}

// precondition reads If-Match and If-None-Match of a write.
func precondition(ifMatch, ifNoneMatch *string) (registry.Precondition, error) {
	match, err := parseTags("If-Match", ifMatch, true)
	if err != nil {
		return registry.Precondition{}, err
	}
	noneMatch, err := parseTags("If-None-Match", ifNoneMatch, false)
	if err != nil {
		return registry.Precondition{}, err
	}
	return registry.Precondition{IfMatch: match, IfNoneMatch: noneMatch}, nil
}

// notModified reports whether a read may answer 304.
func notModified(ifNoneMatch *string, tag string) (bool, error) {
	tags, err := parseTags("If-None-Match", ifNoneMatch, false)
	return tags.Has(tag), err
}

// parseTags reads the list of entity tags of RFC 9110, sections 8.8.3 and 13.1.
// If-Match compares strongly, so a weak tag in it matches nothing.
func parseTags(name string, field *string, strong bool) (*registry.Tags, error) {
	if field == nil {
		return nil, nil //nolint:nilnil // nil is the absent field, which is no error
	}
	rest := strings.Trim(*field, " \t")
	if rest == "*" {
		return &registry.Tags{Any: true}, nil
	}
	malformed := registry.Malformed.Errorf("invalid_parameter", `%s must be * or a list of ETags in double quotes, as answers carry them`, name)
	tags := &registry.Tags{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return tags, nil
		}
		tag, weak, after, ok := cutTag(rest)
		if !ok {
			return nil, malformed
		}
		if !weak || !strong {
			tags.List = append(tags.List, tag)
		}
		rest = after
	}
}

// cutTag splits the first entity tag off a list.
func cutTag(list string) (tag string, weak bool, rest string, ok bool) {
	list, weak = strings.CutPrefix(list, "W/")
	quoted, found := strings.CutPrefix(list, `"`)
	if !found {
		return "", false, "", false
	}
	tag, rest, ok = strings.Cut(quoted, `"`)
	rest = strings.TrimLeft(rest, " \t")
	return tag, weak, rest, ok && (rest == "" || rest[0] == ',')
}
