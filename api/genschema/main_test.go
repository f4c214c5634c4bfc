package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has every difference between OpenAPI 3.0.3 and JSON Schema that the
// translator knows.
const sample = `
components:
  schemas:
    AgentRegistration:
      x-go-type: json.RawMessage
      type: object
      additionalProperties: false
      required: [name]
      example: {name: x}
      properties:
        name: {$ref: '#/components/schemas/Name', description: ignored}
        note: {type: string, nullable: true, enum: [a, b], example: a}
        either: {nullable: true, oneOf: [{$ref: '#/components/schemas/Name'}, {type: boolean}]}
        share: {type: number, minimum: 0, exclusiveMinimum: true, maximum: 1, exclusiveMaximum: false}
        labels: {type: object, x-property-names: {pattern: '^<a>$'}, additionalProperties: {type: string}}
        example: {type: array, items: {$ref: '#/components/schemas/Tree'}}
    Name: {type: string, not: {pattern: '^x$'}}
    Tree: {type: object, properties: {children: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}
    Unused: {type: string}
    EnvironmentDocument: {type: object}
    AgentTypeDocument: {type: object}
    TeamDocument: {type: object}
    ResourceDocument: {type: object}
    AgentSwitch: {type: object}
    AgentTransfer: {type: object}
    AgentRotation: {type: object}
    DriftRepair: {type: object}
    PolicyDocument: {type: object}
    PolicyRollback: {type: object}
`

const wantRegistration = `{
  "$defs": {
    "Name": {
      "not": {
        "pattern": "^x$"
      },
      "type": "string"
    },
    "Tree": {
      "properties": {
        "children": {
          "items": {
            "$ref": "#/$defs/Tree"
          },
          "type": "array"
        }
      },
      "type": "object"
    }
  },
  "$id": "https://credence.example/schemas/agent-registration.schema.json",
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "additionalProperties": false,
  "properties": {
    "either": {
      "anyOf": [
        {
          "oneOf": [
            {
              "$ref": "#/$defs/Name"
            },
            {
              "type": "boolean"
            }
          ]
        },
        {
          "type": "null"
        }
      ]
    },
    "example": {
      "items": {
        "$ref": "#/$defs/Tree"
      },
      "type": "array"
    },
    "labels": {
      "additionalProperties": {
        "type": "string"
      },
      "propertyNames": {
        "pattern": "^<a>$"
      },
      "type": "object"
    },
    "name": {
      "$ref": "#/$defs/Name"
    },
    "note": {
      "enum": [
        "a",
        "b",
        null
      ],
      "type": [
        "string",
        "null"
      ]
    },
    "share": {
      "exclusiveMinimum": 0,
      "maximum": 1,
      "type": "number"
    }
  },
  "required": [
    "name"
  ],
  "type": "object"
}
`

func TestGenerateTranslatesOpenAPI(t *testing.T) {
	t.Parallel()
	files, err := generate([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantRegistration, string(files["agent-registration.schema.json"])); diff != "" {
		t.Errorf("agent-registration.schema.json (-want +got):\n%s", diff)
	}
	if len(files) != len(documents) {
		t.Errorf("made %d files, want %d", len(files), len(documents))
	}
}

func TestGenerateRefusesWhatItCannotTranslate(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]struct{ old, new, message string }{
		"a missing document":      {"TeamDocument:", "Team:", "there is no schema TeamDocument"},
		"a missing component":     {"    Name: {", "    Other: {", "there is no schema Name"},
		"a ref to another file":   {"'#/components/schemas/Tree'", "'other.yaml#/Tree'", "does not name a component"},
		"a keyword of no dialect": {"maximum: 1", "maximun: 1", "maximun: is no keyword"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := generate([]byte(strings.Replace(sample, edit.old, edit.new, 1)))
			if err == nil || !strings.Contains(err.Error(), edit.message) {
				t.Errorf("generate = %v, want an error that contains %q", err, edit.message)
			}
		})
	}
}

func TestCommittedSchemasAreWhatOpenAPIMakes(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../schemas/*.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if got[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run go generate ./api (-openapi.yaml +committed):\n%s", diff)
	}
}
