// Package decisions answers who may do what and why, by the platform policy that the
// registry holds: as every OPA answers that is served the same, so that the answer
// here is the one that is enforced.
//
// Nothing here reads a database. The data is a snapshot.View. A policy that package
// decide knows is decided as Go. Any other is the registry's Rego, which reads the
// view through a store that makes documents as they are asked for: a decision costs
// the same however many agents there are.
package decisions

import (
	"encoding/json"
	"fmt"

	"github.com/credenceproject/credence/internal/decide"
)

// The words of a decision are those of package decide.
type (
	// Decision is what policy says of one call.
	Decision = decide.Decision
	// Reason is one rule that spoke against a call.
	Reason = decide.Reason
	// Agent is the caller as policy knows it.
	Agent = decide.Agent
	// Resource is what is called, as policy knows it.
	Resource = decide.Resource
	// Query is one call that policy is asked about.
	Query = decide.Query
)

// decode reads the object that policy answers. What we know of must be there and
// of its type, but for agent and resource, which may be unknown; a newer policy
// may say more.
func decode(value any) (Decision, error) {
	o, err := asObject("decision", value)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{
		Allow:    field[bool](o, "allow"),
		Reasons:  reasons(o),
		Agent:    agent(o.optional("agent")),
		Resource: resource(o.optional("resource")),
		Revision: integer(o, "revision"),
	}
	if allowed := field[bool](o, "allowed"); *o.err == nil && allowed != d.Allow {
		return Decision{}, fmt.Errorf("the decision says allow %t and allowed %t", d.Allow, allowed)
	}
	return d, *o.err
}

func reasons(o object) []Reason {
	items := field[[]any](o, "reasons")
	list := make([]Reason, 0, len(items))
	for _, item := range items {
		r := o.object("a reason", item)
		list = append(list, Reason{Tier: field[string](r, "tier"), ID: field[string](r, "id"), Code: field[string](r, "code")})
	}
	return list
}

func agent(o object) *Agent {
	if o.fields == nil {
		return nil
	}
	return &Agent{
		ID: field[string](o, "id"), Name: field[string](o, "name"), Team: field[string](o, "team"),
		AgentType: field[string](o, "agent_type"), Environment: field[string](o, "environment"),
	}
}

func resource(o object) *Resource {
	if o.fields == nil {
		return nil
	}
	return &Resource{Name: field[string](o, "name"), Type: field[string](o, "type"), Team: field[string](o, "team")}
}

// object is a JSON object that is being read. The first fault found is kept in
// err, which all objects of one document share.
type object struct {
	what   string
	fields map[string]any
	err    *error
}

func asObject(what string, value any) (object, error) {
	o := object{err: new(error)}.object(what, value)
	return o, *o.err
}

// object reads value as an object. One that is none counts as an empty one.
func (o object) object(what string, value any) object {
	fields, ok := value.(map[string]any)
	if !ok {
		o.fail(what, value)
		fields = map[string]any{}
	}
	return object{what: what, fields: fields, err: o.err}
}

// optional reads the object of that name, whose fields are nil when it is null
// or not there.
func (o object) optional(name string) object {
	value := o.fields[name]
	if value == nil {
		return object{err: o.err}
	}
	return o.object(o.what+"."+name, value)
}

func (o object) fail(what string, value any) {
	if *o.err == nil {
		*o.err = fmt.Errorf("%s is a %T", what, value)
	}
}

func field[T any](o object, name string) T {
	v, ok := o.fields[name].(T)
	if !ok {
		o.fail(o.what+"."+name, o.fields[name])
	}
	return v
}

func integer(o object, name string) int64 {
	n, err := field[json.Number](o, name).Int64()
	if err != nil || n < 0 {
		o.fail(o.what+"."+name, o.fields[name])
	}
	return n
}
