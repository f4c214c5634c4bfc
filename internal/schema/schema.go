// Package schema checks the documents that clients send: against the JSON
// Schemas that are generated from openapi.yaml, against the schema of the agent
// type, and against the rules that no schema can say. It reports every fault at
// once, each with its place, and returns documents decoded and complete.
//
// Agent types bring schemas of their own. Those are untrusted (invariant E1):
// see CompileUntrusted.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// The documents, by the names of their schemas' files.
const (
	agentRegistration = "agent-registration"
	agentSwitch       = "agent-switch"
	agentTransfer     = "agent-transfer"
	agentRotation     = "agent-rotation"
	driftRepair       = "drift-repair"
	environment       = "environment"
	agentType         = "agent-type"
	team              = "team"
	resource          = "resource"
	policy            = "policy"
	policyRollback    = "policy-rollback"
)

// Validator checks documents and decodes them. It is safe for concurrent use.
//
// What its methods get need not have been checked in any way: they return the
// errors of strictjson.Check for what is not strict JSON. A document with
// faults is Invalid, with at most 100 of them, ordered by pointer.
type Validator struct {
	documents map[string]*Compiled
	configs   *cache
}

// New compiles the schemas of the documents, which it finds in files as
// <document>.schema.json: api/schemas.FS has them.
func New(files fs.FS) (*Validator, error) {
	v := &Validator{documents: map[string]*Compiled{}, configs: newCache(cacheWeight)}
	for _, name := range []string{
		agentRegistration, agentSwitch, agentTransfer, agentRotation, driftRepair, environment, agentType, team, resource,
		policy, policyRollback,
	} {
		source, err := fs.ReadFile(files, name+".schema.json")
		if err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", name, err)
		}
		if v.documents[name], err = compile(name, source); err != nil {
			return nil, fmt.Errorf("compile the schema of %s: %w", name, err)
		}
	}
	return v, nil
}

// document is a document on its way through the checks.
type document struct {
	data   []byte
	fields map[string]any             // nil when it is not an object
	raw    map[string]json.RawMessage // the same, as it was sent
	faults faults
	keys   json.RawMessage // of the field jwks, once checkKeys has found them good
}

// read checks data against the schema of the named document.
func (v *Validator) read(name string, data []byte) (*document, error) {
	if err := strictjson.Check(data); err != nil {
		return nil, err
	}
	value, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	d := &document{data: data}
	if d.faults, err = v.documents[name].check(value); err != nil {
		return nil, fmt.Errorf("validate %s: %w", name, err)
	}
	if fields, ok := value.(map[string]any); ok {
		d.fields = fields
		if err := json.Unmarshal(data, &d.raw); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
	}
	return d, nil
}

// finish decodes the document into v, unless it has faults.
func (d *document) finish(code, what string, v any) error {
	if len(d.faults) > 0 {
		return invalid(code, what, d.faults)
	}
	if err := json.Unmarshal(d.data, v); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}

// checkName checks the name under which a document is put: it is part of the
// path, not of the document.
func (d *document) checkName(name string) {
	if !registry.ValidName(name) {
		d.faults.add("", "invalid_name",
			"the name in the path must be 1 to 63 lower-case letters, digits and inner hyphens, and not a UUID")
	}
}

// list returns the strings of a list of the document, each with its index;
// what is no string has a fault already.
func (d *document) list(field string) map[int]string {
	items, _ := d.fields[field].([]any)
	texts := make(map[int]string, len(items))
	for i, item := range items {
		if text, ok := item.(string); ok {
			texts[i] = text
		}
	}
	return texts
}

// decode is json.Unmarshal into any that keeps numbers as they were written.
func decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}
