package schema

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// collect turns the library's tree of errors about value into faults. The leaves
// are what a caller can act on, but for alternatives, where each of the leaves
// may be beside the point: there the alternative itself is the fault.
func (c *Compiled) collect(e *jsonschema.ValidationError, value any, f *faults) {
	s, keyword := c.keyword(e.AbsoluteKeywordLocation)
	if len(e.Causes) > 0 && (len(keyword) != 1 || !isAlternative(keyword[0])) {
		for _, cause := range e.Causes {
			c.collect(cause, value, f)
		}
		return
	}
	pointer := pathUnescape(e.InstanceLocation)
	before := len(*f)
	defer func() {
		// The library does not say where it is below the key "", so what is
		// missing or unknown there may not be found. It is a fault all the same.
		if len(*f) == before {
			f.add(pointer, "invalid", "%s", e.Message)
		}
	}()
	switch {
	case s == nil: // a location that index did not see
		f.add(pointer, e.AbsoluteKeywordLocation[strings.LastIndexByte(e.AbsoluteKeywordLocation, '/')+1:], "%s", e.Message)
	case len(keyword) == 0:
		f.add(pointer, c.forbiddenBy(s), "is not allowed here")
	case keyword[0] == "required":
		f.addMissing(pointer, "required", s.Required, lookup(value, pointer))
	case keyword[0] == "dependentRequired":
		given := unescapeToken(pathUnescape(keyword[1]))
		f.addMissing(pointer, "dependentRequired", s.DependentRequired[given], lookup(value, pointer))
	case keyword[0] == "additionalProperties":
		f.addUnknown(pointer, s, lookup(value, pointer))
	default:
		detail := describe(s, keyword[0], e.Message)
		if aboutName(e.KeywordLocation) {
			detail = "the name " + detail
		}
		f.add(pointer, code(s, keyword[0]), "%s", detail)
	}
}

// keyword splits the location of an error into the subschema and the rest: the
// keyword, and under dependentRequired its property. For the schema false the
// rest is empty; s is nil for a place that is not known.
func (c *Compiled) keyword(location string) (s *jsonschema.Schema, rest []string) {
	if s := c.nodes[location]; s != nil && s.Always != nil && !*s.Always {
		return s, nil
	}
	for cut := location; ; {
		i := strings.LastIndexByte(cut, '/')
		if i < 0 {
			return nil, nil
		}
		cut = cut[:i]
		rest = append(rest, location[i+1:][:lenToken(location[i+1:])])
		if s := c.nodes[cut]; s != nil {
			slices.Reverse(rest)
			return s, rest
		}
	}
}

// lenToken is the length of the first token of a path.
func lenToken(path string) int {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return i
	}
	return len(path)
}

func isAlternative(keyword string) bool {
	return keyword == "anyOf" || keyword == "oneOf" || keyword == "minContains"
}

// forbiddenBy is the code for a value that the schema false, s, refused: an
// unknown field where s closes an object, or else the keyword that holds s.
func (c *Compiled) forbiddenBy(s *jsonschema.Schema) string {
	i := strings.LastIndexByte(s.Location, '/')
	if i < 0 || c.nodes[s.Location[:i]] == nil {
		return "not_allowed" // false has a name: a property that must not be
	}
	switch keyword := s.Location[i+1:]; keyword {
	case "unevaluatedProperties", "additionalProperties":
		return unknownField
	default:
		return keyword
	}
}

const unknownField = "unknown_field"

func (f *faults) addMissing(pointer, code string, required []string, object any) {
	fields, _ := object.(map[string]any)
	for _, name := range required {
		if _, ok := fields[name]; !ok {
			f.add(pointer+"/"+escapeToken(name), code, "is required")
		}
	}
}

func (f *faults) addUnknown(pointer string, s *jsonschema.Schema, object any) {
	fields, _ := object.(map[string]any)
	for name := range fields {
		if _, ok := s.Properties[name]; !ok && !matchesAny(s, name) {
			f.add(pointer+"/"+escapeToken(name), unknownField, "is not a field of this object")
		}
	}
}

func matchesAny(s *jsonschema.Schema, name string) bool {
	for pattern := range s.PatternProperties {
		if pattern.MatchString(name) {
			return true
		}
	}
	return false
}

// aboutName reports whether the path of keywords went through propertyNames: the
// fault is then about a property's name, not its value.
func aboutName(keywords string) bool {
	path := strings.Split(keywords, "/")
	for i, keyword := range path {
		named := i > 0 && slices.Contains([]string{"properties", "patternProperties", "dependentSchemas"}, path[i-1])
		if keyword == "propertyNames" && !named {
			return true
		}
	}
	return false
}

// lookup returns the value at a pointer, or nil.
func lookup(value any, pointer string) any {
	if pointer == "" {
		return value
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		switch v := value.(type) {
		case map[string]any:
			value = v[unescapeToken(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// pathUnescape undoes what the library does to every token of its locations.
func pathUnescape(location string) string {
	if plain, err := url.PathUnescape(location); err == nil {
		return plain
	}
	return location
}
