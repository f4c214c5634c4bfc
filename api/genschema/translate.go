package main

import (
	"fmt"
	"slices"
	"strings"
)

const (
	dialect      = "https://json-schema.org/draft/2020-12/schema"
	baseURI      = "https://credence.example/schemas/"
	componentRef = "#/components/schemas/"
)

// translator turns OpenAPI 3.0.3 Schema Objects into JSON Schema 2020-12. The
// two differ in nullable, in exclusive bounds and in what stands beside a $ref;
// OpenAPI has words of its own, and JSON Schema has propertyNames, which
// openapi.yaml writes as x-property-names.
type translator struct {
	components map[string]any
	defs       map[string]any // the components that the document refers to
}

// document makes a self-contained schema of a component.
func (t *translator) document(component, name string) (map[string]any, error) {
	t.defs = map[string]any{}
	root, err := t.component(component)
	if err != nil {
		return nil, err
	}
	root["$schema"] = dialect
	root["$id"] = baseURI + name + ".schema.json"
	if len(t.defs) > 0 {
		root["$defs"] = t.defs
	}
	return root, nil
}

func (t *translator) component(name string) (map[string]any, error) {
	schema, ok := t.components[name].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("there is no schema %s", name)
	}
	out, err := t.schema(schema)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// schema translates one Schema Object.
func (t *translator) schema(in map[string]any) (map[string]any, error) {
	if ref, ok := in["$ref"]; ok {
		return t.ref(ref) // OpenAPI 3.0 ignores what stands beside it
	}
	out := make(map[string]any, len(in))
	for key, value := range in {
		if err := t.keyword(out, key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	exclusive(out, "minimum", "exclusiveMinimum")
	exclusive(out, "maximum", "exclusiveMaximum")
	if in["nullable"] == true {
		return nullable(out), nil
	}
	return out, nil
}

// ref points at the definition of a component, and makes it when it is new.
func (t *translator) ref(ref any) (map[string]any, error) {
	s, _ := ref.(string)
	name, ok := strings.CutPrefix(s, componentRef)
	if !ok || strings.Contains(name, "/") {
		return nil, fmt.Errorf("$ref %v does not name a component's schema", ref)
	}
	if _, ok := t.defs[name]; !ok {
		t.defs[name] = nil // it may refer to itself
		def, err := t.component(name)
		if err != nil {
			return nil, err
		}
		t.defs[name] = def
	}
	return map[string]any{"$ref": "#/$defs/" + name}, nil
}

// keyword translates one member of a Schema Object into out.
func (t *translator) keyword(out map[string]any, key string, value any) (err error) {
	switch key {
	case "nullable", "example", "discriminator", "xml", "externalDocs":
	case "x-property-names":
		out["propertyNames"], err = t.subschema(value)
	case "not", "items", "additionalProperties":
		out[key], err = t.subschema(value)
	case "allOf", "anyOf", "oneOf":
		out[key], err = t.list(value)
	case "properties":
		out[key], err = t.properties(value)
	case "type", "format", "title", "description", "default", "deprecated", "readOnly", "writeOnly",
		"enum", "required", "pattern", "minLength", "maxLength", "uniqueItems", "minItems", "maxItems",
		"minProperties", "maxProperties", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		out[key] = value
	default:
		if !strings.HasPrefix(key, "x-") {
			return fmt.Errorf("is no keyword of OpenAPI 3.0.3")
		}
	}
	return err
}

func (t *translator) subschema(value any) (any, error) {
	switch value := value.(type) {
	case bool:
		return value, nil
	case map[string]any:
		return t.schema(value)
	default:
		return nil, fmt.Errorf("%v is no schema", value)
	}
}

func (t *translator) list(value any) ([]any, error) {
	in, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is no list of schemas", value)
	}
	out := make([]any, len(in))
	for i, item := range in {
		schema, err := t.subschema(item)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		out[i] = schema
	}
	return out, nil
}

func (t *translator) properties(value any) (map[string]any, error) {
	in, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%v is no map of schemas", value)
	}
	out := make(map[string]any, len(in))
	for name, property := range in {
		schema, err := t.subschema(property)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = schema
	}
	return out, nil
}

// exclusive turns OpenAPI's flag beside a bound into JSON Schema's bound.
func exclusive(schema map[string]any, bound, flag string) {
	on, ok := schema[flag].(bool)
	if !ok {
		return
	}
	delete(schema, flag)
	if on {
		schema[flag] = schema[bound]
		delete(schema, bound)
	}
}

// nullable lets null through: by the type where that is all it takes.
func nullable(schema map[string]any) map[string]any {
	name, typed := schema["type"].(string)
	values, enum := schema["enum"].([]any)
	if !typed {
		return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	schema["type"] = []any{name, "null"}
	if enum && !slices.Contains(values, nil) {
		schema["enum"] = append(slices.Clone(values), nil)
	}
	return schema
}
