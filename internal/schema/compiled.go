package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/credenceproject/credence/internal/strictjson"
)

const (
	baseURL = "https://credence.example/schemas/"
	dialect = "https://json-schema.org/draft/2020-12/schema"
)

// Compiled is a JSON Schema that is ready to validate. It is safe for
// concurrent use.
type Compiled struct {
	root       *jsonschema.Schema
	nodes      map[string]*jsonschema.Schema // every subschema, by its location
	weights    map[*jsonschema.Schema]int    // see weigh
	patterns   map[*regexp.Regexp]int        // sizes of untrusted patterns; nil for trusted ones
	unmetered  bool
	subschemas int
}

// Validate checks data, at most MaxConfigBytes of it, against the schema. It
// returns Invalid (invalid_config) with every fault, and the errors of
// strictjson.Check.
func (c *Compiled) Validate(data []byte) error {
	if len(data) > MaxConfigBytes {
		var f faults
		f.add("", "too_large", "must be at most %d bytes", MaxConfigBytes)
		return invalid("invalid_config", "config", f)
	}
	if err := strictjson.Check(data); err != nil {
		return err
	}
	value, err := decode(data)
	if err != nil {
		return fmt.Errorf("decode config: %w", err)
	}
	found, err := c.check(value)
	if err != nil {
		return fmt.Errorf("validate config: %w", err)
	}
	if len(found) > 0 {
		return invalid("invalid_config", "config", found)
	}
	return nil
}

// check returns what is wrong with value, which decode made. The error is not
// about the value: the library gave up.
func (c *Compiled) check(value any) (faults, error) {
	if !c.unmetered && !c.affordable(value) {
		var f faults
		f.add("", "too_complex", "has too many values for the number of rules about them")
		return f, nil
	}
	err := safely(func() error { return c.root.Validate(value) })
	if err == nil {
		return nil, nil
	}
	tree, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return nil, err
	}
	var f faults
	c.collect(tree, value, &f)
	return f, nil
}

// compile compiles a schema that needs nothing but itself.
func compile(name string, source []byte) (c *Compiled, err error) {
	url := baseURL + name + ".schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020
	// The library's own loader reads files.
	compiler.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("%s is outside of the schema", url)
	}
	err = safely(func() error {
		if err := compiler.AddResource(url, bytes.NewReader(source)); err != nil {
			return err
		}
		root, err := compiler.Compile(url)
		if err != nil {
			return err
		}
		c = index(root)
		return nil
	})
	return c, err
}

// safely runs f and makes its panic, which the library is known for, an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the JSON Schema library: %v", r)
		}
	}()
	return f()
}

// index finds every subschema that root reaches.
func index(root *jsonschema.Schema) *Compiled {
	c := &Compiled{
		root:    root,
		nodes:   map[string]*jsonschema.Schema{},
		weights: map[*jsonschema.Schema]int{},
	}
	c.visit(root)
	c.subschemas = len(c.nodes)
	return c
}

func (c *Compiled) visit(s *jsonschema.Schema) {
	if s == nil || c.nodes[s.Location] != nil {
		return
	}
	c.nodes[s.Location] = s
	c.weights[s] = weigh(s)
	for child := range inPlace(s) {
		c.visit(child)
	}
	for _, child := range s.Properties {
		c.visit(child)
	}
	for _, child := range s.PatternProperties {
		c.visit(child)
	}
	if child, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		c.visit(child)
	}
	for _, child := range s.PrefixItems {
		c.visit(child)
	}
	for _, child := range []*jsonschema.Schema{
		s.PropertyNames, s.UnevaluatedProperties, s.Items2020, s.Contains, s.UnevaluatedItems,
	} {
		c.visit(child)
	}
}
