package schema_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

func newValidator(t testing.TB) *schema.Validator {
	t.Helper()
	v, err := schema.New(schemas.FS)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fault is a registry.FieldError without the words for people.
type fault struct{ Pointer, Code string }

// faultsOf returns the faults of err, which must be Invalid with that code, or
// none for nil.
func faultsOf(t testing.TB, err error, code string) []fault {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := registry.AsError(err)
	if !ok || e.Kind != registry.Invalid || e.Code != code {
		t.Fatalf("error = %+v, want Invalid %s", err, code)
	}
	faults := make([]fault, len(e.Fields))
	for i, f := range e.Fields {
		faults[i] = fault{f.Pointer, f.Code}
		if f.Detail == "" || len(f.Detail) > 310 {
			t.Errorf("fault %v has the detail %q", faults[i], f.Detail)
		}
	}
	return faults
}

// wantFaults compares whole lists of faults.
func wantFaults(t testing.TB, err error, code string, want ...fault) {
	t.Helper()
	if diff := cmp.Diff(want, faultsOf(t, err, code), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
}

// edit is base with members replaced, as JSON; nil takes a member away.
func edit(t testing.TB, base string, changes map[string]any) []byte {
	t.Helper()
	document := map[string]any{}
	if err := json.Unmarshal([]byte(base), &document); err != nil {
		t.Fatal(err)
	}
	for field, value := range changes {
		if value == nil {
			delete(document, field)
		} else {
			document[field] = value
		}
	}
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func ptr[T any](v T) *T { return &v }
