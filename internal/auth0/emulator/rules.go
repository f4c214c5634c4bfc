package emulator

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The rules of properties. Each returns a text in the manner of a JSON Schema
// validator, which is what Auth0 shows.

func typed[T any](name string) rule {
	return func(v any) string {
		if _, ok := v.(T); !ok {
			return fmt.Sprintf("Expected type %s but found type %s", name, typeName(v))
		}
		return ""
	}
}

var (
	isBool   = typed[bool]("boolean")
	isObject = typed[map[string]any]("object")
	isArray  = typed[[]any]("array")
)

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// text accepts strings of at least low and at most high characters.
func text(low, high int) rule {
	return func(v any) string {
		s, ok := v.(string)
		switch n := utf8.RuneCountInString(s); {
		case !ok:
			return fmt.Sprintf("Expected type string but found type %s", typeName(v))
		case n < low:
			return fmt.Sprintf("String is too short (%d chars), minimum %d", n, low)
		case n > high:
			return fmt.Sprintf("String is too long (%d chars), maximum %d", n, high)
		}
		return ""
	}
}

func matching(r rule, pattern string) rule {
	re := regexp.MustCompile(pattern)
	return func(v any) string {
		if fault := r(v); fault != "" {
			return fault
		}
		if !re.MatchString(v.(string)) {
			return "String does not match pattern " + pattern
		}
		return ""
	}
}

func oneOf(values ...string) rule {
	return func(v any) string {
		s, ok := v.(string)
		if !ok || !slices.Contains(values, s) {
			return fmt.Sprintf("No enum match, expected one of: %s", strings.Join(values, ", "))
		}
		return ""
	}
}

// integer accepts whole numbers from low to high.
func integer(low, high float64) rule {
	return func(v any) string {
		n, ok := v.(float64)
		switch {
		case !ok || n != math.Trunc(n):
			return fmt.Sprintf("Expected type integer but found type %s", typeName(v))
		case n < low:
			return fmt.Sprintf("Value %.0f is less than minimum %.0f", n, low)
		case n > high:
			return fmt.Sprintf("Value %.0f is greater than maximum %.0f", n, high)
		}
		return ""
	}
}

// arrayOf accepts arrays of at most high elements that each keep the rule.
func arrayOf(high int, each rule) rule {
	return func(v any) string {
		values, ok := v.([]any)
		switch {
		case !ok:
			return fmt.Sprintf("Expected type array but found type %s", typeName(v))
		case len(values) > high:
			return fmt.Sprintf("Array is too long (%d), maximum %d", len(values), high)
		}
		for i, value := range values {
			if fault := each(value); fault != "" {
				return fmt.Sprintf("%s at index %d", fault, i)
			}
		}
		return ""
	}
}

// object accepts objects that fit s.
func object(s schema) rule {
	return func(v any) string {
		doc, ok := v.(map[string]any)
		if !ok {
			return fmt.Sprintf("Expected type object but found type %s", typeName(v))
		}
		for _, name := range s.required {
			if _, ok := doc[name]; !ok {
				return "Missing required property: " + name
			}
		}
		for _, name := range slices.Sorted(maps.Keys(doc)) {
			value := doc[name]
			each, ok := s.properties[name]
			if !ok {
				return "Additional properties not allowed: " + name
			}
			if fault := each(value); fault != "" {
				return name + ": " + fault
			}
		}
		return ""
	}
}
