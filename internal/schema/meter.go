package schema

import (
	"iter"
	"math/big"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// The library does as much work as schema and value ask for: 10,000 rules
// about each of 8,000 items. So the work is added up before it is done, with the
// same walk over both but without the tests, and a value that would cost more
// than maxWork is refused. A unit takes the library two microseconds at most, as
// measured on what it is slowest at, so a value half a second.
const maxWork = 200_000

type meter struct {
	c    *Compiled
	left int
}

func (c *Compiled) affordable(value any) bool {
	m := meter{c: c, left: maxWork}
	m.apply(c.root, value, 1)
	return m.left >= 0
}

// apply pays for validating value with s and everything below both. Depth is
// that of the library's stack, which it copies and searches at every step.
func (m *meter) apply(s *jsonschema.Schema, value any, depth int) {
	m.left -= 1 + depth/4 + m.c.weights[s]*weight(value)
	if m.left < 0 {
		return
	}
	for child := range inPlace(s) {
		m.apply(child, value, depth+1)
	}
	switch value := value.(type) {
	case string:
		if s.Pattern != nil {
			m.match(m.c.patterns[s.Pattern], value)
		}
	case []any:
		m.items(s, value, depth+1)
	case map[string]any:
		m.properties(s, value, depth+1)
	}
}

func (m *meter) items(s *jsonschema.Schema, items []any, depth int) {
	m.left -= len(items)
	if s.UniqueItems {
		m.left -= values(items)
	}
	for i, item := range items {
		if m.left < 0 {
			return
		}
		if i < len(s.PrefixItems) {
			m.apply(s.PrefixItems[i], item, depth)
		} else if s.Items2020 != nil {
			m.apply(s.Items2020, item, depth)
		}
		if s.Contains != nil {
			m.apply(s.Contains, item, depth)
		}
		if s.UnevaluatedItems != nil {
			m.apply(s.UnevaluatedItems, item, depth)
		}
	}
}

func (m *meter) properties(s *jsonschema.Schema, object map[string]any, depth int) {
	m.left -= len(object) + len(s.Properties)
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for key, value := range object {
		if m.left < 0 {
			return
		}
		if child, ok := s.Properties[key]; ok {
			m.apply(child, value, depth)
		} else if additional != nil {
			m.apply(additional, value, depth)
		}
		if s.PropertyNames != nil {
			m.apply(s.PropertyNames, key, depth)
		}
		if s.UnevaluatedProperties != nil {
			m.apply(s.UnevaluatedProperties, value, depth)
		}
		for pattern, child := range s.PatternProperties {
			if m.match(m.c.patterns[pattern], key); m.left >= 0 && pattern.MatchString(key) {
				m.apply(child, value, depth)
			}
		}
	}
}

// match pays for matching text with a pattern: RE2 takes time in the product of
// their sizes.
func (m *meter) match(patternSize int, text string) {
	m.left -= 1 + patternSize*len(text)/16
}

// weigh is what s costs wherever it is applied, besides 1: what it compares with.
func weigh(s *jsonschema.Schema) int {
	w := values(s.Enum) + values(s.Constant) + len(s.Required) + len(s.DependentSchemas)
	for _, required := range s.DependentRequired {
		w += 1 + len(required)
	}
	for _, bound := range []*big.Rat{s.Minimum, s.Maximum, s.ExclusiveMinimum, s.ExclusiveMaximum} {
		if bound != nil {
			w++
		}
	}
	if s.MultipleOf != nil {
		w += 50 // divides numbers of a thousand bits
	}
	return w
}

// weight is how much dearer value is to compare than a small one.
func weight(value any) int {
	if n, ok := asNumber(value); ok {
		return 1 + len(n)/32
	}
	return 1
}

// values counts the values in a list and everything in it.
func values(list []any) int {
	n := len(list)
	for _, value := range list {
		switch value := value.(type) {
		case []any:
			n += values(value)
		case map[string]any:
			n += len(value)
			for _, member := range value {
				n += values([]any{member})
			}
		}
	}
	return n
}

// inPlace are the subschemas of s that apply to the same value as s.
func inPlace(s *jsonschema.Schema) iter.Seq[*jsonschema.Schema] {
	return func(yield func(*jsonschema.Schema) bool) {
		single := []*jsonschema.Schema{s.Ref, s.DynamicRef, s.Not, s.If, s.Then, s.Else}
		for child := range slices.Values(slices.Concat(single, s.AllOf, s.AnyOf, s.OneOf)) {
			if child != nil && !yield(child) {
				return
			}
		}
		for _, child := range s.DependentSchemas {
			if !yield(child) {
				return
			}
		}
	}
}
