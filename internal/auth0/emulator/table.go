package emulator

import (
	"maps"
	"slices"
)

// document is a JSON object as it goes over the wire.
type document = map[string]any

// table keeps values by id in the order in which they were made. Not safe for
// concurrent use.
type table[V any] struct {
	byID  map[string]V
	order []string
}

func (t *table[V]) put(id string, v V) {
	if t.byID == nil {
		t.byID = map[string]V{}
	}
	if _, ok := t.byID[id]; !ok {
		t.order = append(t.order, id)
	}
	t.byID[id] = v
}

func (t *table[V]) get(id string) (V, bool) {
	v, ok := t.byID[id]
	return v, ok
}

func (t *table[V]) remove(id string) {
	if _, ok := t.byID[id]; !ok {
		return
	}
	delete(t.byID, id)
	t.order = slices.DeleteFunc(t.order, func(o string) bool { return o == id })
}

// list returns the values that keep accepts, oldest first.
func (t *table[V]) list(keep func(V) bool) []V {
	var found []V
	for _, id := range t.order {
		if v := t.byID[id]; keep(v) {
			found = append(found, v)
		}
	}
	return found
}

// find returns the oldest value that is accepts.
func (t *table[V]) find(is func(V) bool) (V, bool) {
	for _, id := range t.order {
		if v := t.byID[id]; is(v) {
			return v, true
		}
	}
	var none V
	return none, false
}

// merge returns a document with the properties of patch in place of those of
// doc; a property that is null is left out. Neither argument changes.
func merge(doc, patch document) document {
	merged := maps.Clone(doc)
	maps.Copy(merged, patch)
	maps.DeleteFunc(merged, func(_ string, v any) bool { return v == nil })
	return merged
}

func anySlice[S ~string](values []S) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// stringSlice returns the strings of a JSON array; what else is in it is left
// out.
func stringSlice(v any) []string {
	values, _ := v.([]any)
	out := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func stringOf(v any) string {
	s, _ := v.(string)
	return s
}
