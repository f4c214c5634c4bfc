package gate

import (
	_ "embed" // the request
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	requestPath = "data.mcp.request"
	// most is how many elements a collection of a request counts for, and
	// textBytes how long a string of it: the platform's policy shows layers no
	// longer path and no longer text (policy/transport.rego).
	most      = 64
	textBytes = 256
)

var requestRef = ast.MustParseRef(requestPath)

// shape is what a part of the request looks like.
type shape struct {
	kind   string // for people
	fields map[string]*shape
	elem   *shape // of lists and of labels
	open   bool   // keys are the registry's, such as those of labels
}

var (
	text   = &shape{kind: "a string"}
	truly  = &shape{kind: "a boolean"}
	moment = &shape{kind: "a number of nanoseconds, or null"}
	texts  = &shape{kind: "a list", elem: text}
	labels = &shape{kind: "an object", elem: text, open: true}
)

// request is the shape of data.mcp.request, of which every field is always there.
var request = &shape{kind: "an object", fields: map[string]*shape{
	"method": text, "path": texts, "subject": text, "permissions": texts, "environment": text,
	"agent": {kind: "an object", fields: map[string]*shape{
		"id": text, "name": text, "team": text, "agent_type": text, "environment": text, "suspended": truly,
		"scopes": texts, "expires_at": moment, "valid_after": moment, "labels": labels,
	}},
	"resource": {kind: "an object", fields: map[string]*shape{
		"name": text, "type": text, "team": text, "data_classification": text, "required_permissions": texts,
		"access":       {kind: "an object", fields: map[string]*shape{"visibility": text, "teams": texts, "agent_types": texts}},
		"environments": texts, "labels": labels,
	}},
}}

// bound is the most that such a part is taken to be.
func (s *shape) bound() bound {
	switch {
	case s.elem != nil:
		return collection(most, s.elem.bound()).untyped()
	case s.fields != nil:
		b := collection(float64(len(s.fields)), scalar(20)) // the names
		for _, f := range s.fields {
			field := f.bound()
			elem := join(*b.elem, field)
			b.bytes += field.bytes
			b.elem = &elem
		}
		return b.untyped()
	default:
		return scalar(textBytes)
	}
}

// names are the fields, for people.
func (s *shape) names() string {
	return strings.Join(slices.Sorted(maps.Keys(s.fields)), ", ")
}

//go:embed request.rego
var requestSource string

// requestModule is parsed once; who compiles it gets a copy from the compiler.
var requestModule = sync.OnceValue(func() *ast.Module {
	return ast.MustParseModuleWithOpts(requestSource, ast.ParserOptions{RegoVersion: ast.RegoV1})
})

// RequestModule returns a module mcp.request whose fields are those of the input, or
// empty where the input has none: what a layer is asked with outside of a bundle.
// The caller must not change it.
func RequestModule() *ast.Module { return requestModule() }
