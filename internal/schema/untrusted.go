package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/credenceproject/credence/internal/strictjson"
)

// Bounds of an untrusted schema (invariant E1) and of what it is applied to
// (invariant C7).
const (
	MaxSchemaBytes = 64 << 10
	MaxConfigBytes = 16 << 10
	// MaxCapabilitiesBytes bounds an agent's capabilities all together: they come
	// with every list of agents.
	MaxCapabilitiesBytes = 64 << 10
	MaxRefs              = 200
	MaxSubschemas        = 10_000  // with each $ref replaced by what it refers to
	MaxWritten           = 2_000   // subschemas as they are written: the library takes time in their square
	maxSchemaDepth       = 32      // subschemas in subschemas, counted likewise
	maxPatternBytes      = 512     // of one pattern
	maxPatternSize       = 4_000   // of one pattern; see patternSize
	maxPatternSizes      = 40_000  // of all patterns together
	maxSchemaNumber      = 1 << 30 // of lengths and counts
)

// CompileUntrusted compiles a JSON Schema, draft 2020-12, that a stranger wrote.
//
// It loads nothing: a $ref must point into the schema itself, at a subschema,
// and what changes the meaning of a $ref ($id and $schema below the root,
// $dynamicRef, $vocabulary) is refused. It bounds bytes, references, subschemas,
// depth and patterns before anything is compiled. A schema that refers to
// itself, directly or not, is refused: expanded it has no end, and without
// recursion the depth of the library's stack is known. Patterns are RE2's, which
// match in linear time. Unknown keywords are refused, since they would check
// nothing; those that begin with x- are notes.
//
// It returns Invalid (invalid_schema) with every fault, by pointers into the
// schema, and the errors of strictjson.Check.
func CompileUntrusted(source []byte) (*Compiled, error) {
	var f faults
	if len(source) > MaxSchemaBytes {
		f.add("", "too_large", "must be at most %d bytes", MaxSchemaBytes)
		return nil, invalid("invalid_schema", "schema", f)
	}
	if err := strictjson.Check(source); err != nil {
		return nil, err
	}
	value, err := decode(source)
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	shape := inspect(value)
	if f, err = shape.verdict(value); err != nil {
		return nil, err
	}
	if len(f) > 0 {
		return nil, invalid("invalid_schema", "schema", f)
	}
	shape.simplify()
	if source, err = json.Marshal(value); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	c, err := compile("untrusted", source)
	if err != nil {
		f.add("", "not_usable", "is not a schema that can be used")
		e := invalid("invalid_schema", "schema", f)
		e.Err = err
		return nil, e
	}
	c.measurePatterns()
	return c, nil
}

// verdict adds to the faults of the shape what the metaschema finds in value.
func (s *shape) verdict(value any) (faults, error) {
	if s.exhausted {
		return s.faults, nil
	}
	meta, err := metaschema()
	if err != nil {
		return nil, err
	}
	found, err := meta.check(value)
	if err != nil {
		return nil, fmt.Errorf("validate schema: %w", err)
	}
	f := s.faults
	f.addNew(found)
	return f, nil
}

// metaschema is the schema of schemas, which the library brings along.
var metaschema = sync.OnceValues(func() (*Compiled, error) {
	var c *Compiled
	err := safely(func() error {
		compiler := jsonschema.NewCompiler()
		root, err := compiler.Compile(dialect)
		if err != nil {
			return err
		}
		if root == nil {
			return errors.New("the library has no metaschema")
		}
		c = index(root)
		c.unmetered = true // MaxSubschemas bounds what it is applied to
		return nil
	})
	return c, err
})

// measurePatterns notes the sizes of the patterns, which make matching dear.
func (c *Compiled) measurePatterns() {
	c.patterns = map[*regexp.Regexp]int{}
	measure := func(re *regexp.Regexp) {
		if size, err := measurePattern(re.String()); err == nil {
			c.patterns[re] = size
		}
	}
	for _, s := range c.nodes {
		if s.Pattern != nil {
			measure(s.Pattern)
		}
		for pattern := range s.PatternProperties {
			measure(pattern)
		}
	}
}
