package schema

import (
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shape is an untrusted schema as a tree of subschemas, found without the
// library, and what is wrong with it.
type shape struct {
	root        *node
	nodes       map[string]*node // by pointer
	anchors     map[string]*node
	refs        []*node // that have a $ref
	patternSize int
	faults      faults
	exhausted   bool // over a bound, so the rest was not looked at
}

// node is a subschema.
type node struct {
	pointer  string
	location string         // the pointer as the library writes it in a URL
	keywords map[string]any // nil for a boolean
	children []*node
	target   *node // of its $ref
	expansion
}

// inspect reads a schema. It does not recurse deeper than strictjson lets
// documents be.
func inspect(value any) *shape {
	s := &shape{nodes: map[string]*node{}, anchors: map[string]*node{}}
	s.root = s.subschema(value, "", "")
	if s.exhausted {
		return s
	}
	for _, n := range s.refs {
		s.resolve(n)
	}
	s.measure()
	return s
}

func (s *shape) subschema(value any, pointer, location string) *node {
	if len(s.nodes) == MaxWritten && !s.exhausted {
		s.faults.add("", "too_many_subschemas", "must have at most %d subschemas", MaxWritten)
		s.exhausted = true
	}
	if s.exhausted {
		return nil
	}
	n := &node{pointer: pointer, location: location}
	s.nodes[pointer] = n
	switch value := value.(type) {
	case bool:
	case map[string]any:
		n.keywords = value
		for _, keyword := range slices.Sorted(maps.Keys(value)) { // in one order, so that faults are the same each time
			s.keyword(n, keyword, value[keyword])
		}
	default:
		s.faults.add(pointer, "type", "must be a schema: an object or a boolean")
	}
	return n
}

// keyword looks at one keyword of n. What the metaschema says of it is left to
// the metaschema.
func (s *shape) keyword(n *node, keyword string, value any) {
	at := n.pointer + "/" + escapeToken(keyword)
	switch keywords[keyword] {
	case unknown:
		if !strings.HasPrefix(keyword, "x-") {
			s.faults.add(at, "unknown_keyword", "is not a keyword of JSON Schema draft 2020-12")
		}
	case refused:
		s.faults.add(at, "keyword_not_allowed", "is not allowed here")
	case identity:
		s.identity(n, at, keyword, value)
	case anchor:
		s.anchor(n, at, value)
	case reference:
		s.refs = append(s.refs, n)
	case count:
		s.count(at, value)
	case pattern:
		if text, ok := value.(string); ok {
			s.pattern(at, text)
		}
	case one:
		s.child(n, value, keyword)
	case several:
		list, _ := value.([]any)
		for i, v := range list {
			s.child(n, v, keyword, strconv.Itoa(i))
		}
	case named, patterns:
		byName, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			if keywords[keyword] == patterns {
				s.pattern(at+"/"+escapeToken(name), name)
			}
			s.child(n, byName[name], keyword, name)
		}
	}
}

// child adds the subschema that path, of one or two tokens, leads to from n.
func (s *shape) child(n *node, value any, path ...string) {
	pointer, location := n.pointer, n.location
	for _, token := range path {
		pointer += "/" + escapeToken(token)
		location += "/" + url.PathEscape(escapeToken(token))
	}
	if c := s.subschema(value, pointer, location); c != nil {
		n.children = append(n.children, c)
	}
}

func (s *shape) identity(n *node, at, keyword string, value any) {
	switch {
	case n.pointer != "":
		s.faults.add(at, "keyword_not_allowed", "is allowed at the root only")
	case keyword == "$schema" && value != dialect && value != dialect+"#":
		s.faults.add(at, "unsupported_dialect", "must be %s", dialect)
	}
}

func (s *shape) anchor(n *node, at string, value any) {
	name, ok := value.(string)
	if !ok {
		return
	}
	if s.anchors[name] != nil {
		s.faults.add(at, "duplicate", "another subschema has this anchor")
	}
	s.anchors[name] = n
}

// count keeps lengths and counts within what fits an int everywhere.
func (s *shape) count(at string, value any) {
	if n, ok := number(value); ok && n.Cmp(big.NewRat(maxSchemaNumber, 1)) > 0 {
		s.faults.add(at, "maximum", "must be at most %d", maxSchemaNumber)
	}
}

func (s *shape) pattern(at, text string) {
	if len(text) > maxPatternBytes {
		s.faults.add(at, "pattern_too_large", "must be at most %d bytes", maxPatternBytes)
		return
	}
	if s.patternSize > maxPatternSizes {
		return
	}
	size, err := measurePattern(text)
	if err != nil {
		s.faults.add(at, "invalid_pattern", "must be a regular expression as RE2 reads it, so without lookaround and backreferences")
		return
	}
	if size > maxPatternSize {
		s.faults.add(at, "pattern_too_large", "stands for a program of more than %d steps", maxPatternSize)
	}
	if s.patternSize += size; s.patternSize > maxPatternSizes {
		s.faults.add("", "pattern_too_large", "has patterns that stand for more than %d steps together", maxPatternSizes)
	}
}

// simplify takes away what the compiled schema does not need and what could
// surprise: identities, and other spellings of references. It names the
// dialect, without which the library tests formats, too.
func (s *shape) simplify() {
	for _, n := range s.nodes {
		delete(n.keywords, "$id")
		delete(n.keywords, "$schema")
		delete(n.keywords, "$anchor")
		if n.target != nil {
			n.keywords["$ref"] = "#" + n.target.location
		}
	}
	if s.root.keywords != nil {
		s.root.keywords["$schema"] = dialect
	}
}
