package schema

// role says what stands under a keyword.
type role int

const (
	unknown   role = iota
	assertion      // a test or a note, without subschemas
	count          // a number of characters, items or fields
	one            // a subschema
	several        // a list of subschemas
	named          // subschemas by names
	patterns       // subschemas by patterns
	reference      // $ref
	identity       // $id and $schema: at the root only
	anchor         // a name for $ref
	pattern        // a regular expression
	refused        // would change what a $ref means
)

// keywords are those of draft 2020-12, and definitions, which it still reads.
var keywords = map[string]role{
	"$id": identity, "$schema": identity, "$anchor": anchor, "$ref": reference,
	"$dynamicRef": refused, "$dynamicAnchor": refused, "$vocabulary": refused,
	"$recursiveRef": refused, "$recursiveAnchor": refused,
	"$comment": assertion, "$defs": named, "definitions": named,

	"allOf": several, "anyOf": several, "oneOf": several, "prefixItems": several,
	"not": one, "if": one, "then": one, "else": one,
	"items": one, "contains": one, "unevaluatedItems": one,
	"additionalProperties": one, "unevaluatedProperties": one, "propertyNames": one, "contentSchema": one,
	"properties": named, "dependentSchemas": named, "patternProperties": patterns,

	"type": assertion, "enum": assertion, "const": assertion,
	"multipleOf": assertion, "minimum": assertion, "maximum": assertion,
	"exclusiveMinimum": assertion, "exclusiveMaximum": assertion,
	"minLength": count, "maxLength": count, "pattern": pattern,
	"minItems": count, "maxItems": count, "uniqueItems": assertion, "minContains": count, "maxContains": count,
	"minProperties": count, "maxProperties": count, "required": assertion, "dependentRequired": assertion,

	"format": assertion, "contentEncoding": assertion, "contentMediaType": assertion,
	"title": assertion, "description": assertion, "default": assertion, "deprecated": assertion,
	"readOnly": assertion, "writeOnly": assertion, "examples": assertion,
}
