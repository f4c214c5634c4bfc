package registry_test

import (
	"errors"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

func TestPreconditionCheck(t *testing.T) {
	t.Parallel()
	var (
		anyState = &registry.Tags{Any: true}
		v1       = &registry.Tags{List: []string{"v1"}}
		v1or2    = &registry.Tags{List: []string{"v1", "v2"}}
		nothing  = &registry.Tags{} // the field was there, with no tag in it
	)
	const there, missing = true, false
	for _, tc := range []struct {
		name   string
		pre    registry.Precondition
		exists bool
		passes bool
	}{
		{"no condition, there", registry.Precondition{}, there, true},
		{"no condition, missing", registry.Precondition{}, missing, true},

		{"If-Match of this state", registry.Precondition{IfMatch: v1}, there, true},
		{"If-Match with this state in a list", registry.Precondition{IfMatch: v1or2}, there, true},
		{"If-Match of another state", registry.Precondition{IfMatch: &registry.Tags{List: []string{"v2"}}}, there, false},
		{"If-Match of a longer tag", registry.Precondition{IfMatch: &registry.Tags{List: []string{"v11"}}}, there, false},
		{"If-Match *, there", registry.Precondition{IfMatch: anyState}, there, true},
		{"If-Match *, missing", registry.Precondition{IfMatch: anyState}, missing, false},
		{"If-Match of this state, missing", registry.Precondition{IfMatch: v1}, missing, false},
		{"If-Match of nothing", registry.Precondition{IfMatch: nothing}, there, false},

		{"If-None-Match *, there", registry.Precondition{IfNoneMatch: anyState}, there, false},
		{"If-None-Match *, missing", registry.Precondition{IfNoneMatch: anyState}, missing, true},
		{"If-None-Match of this state", registry.Precondition{IfNoneMatch: v1or2}, there, false},
		{"If-None-Match of another state", registry.Precondition{IfNoneMatch: &registry.Tags{List: []string{"v2"}}}, there, true},
		{"If-None-Match of this state, missing", registry.Precondition{IfNoneMatch: v1}, missing, true},
		{"If-None-Match of nothing", registry.Precondition{IfNoneMatch: nothing}, there, true},

		{"both hold", registry.Precondition{IfMatch: v1, IfNoneMatch: nothing}, there, true},
		{"both, the second fails", registry.Precondition{IfMatch: v1, IfNoneMatch: anyState}, there, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.pre.Check(tc.exists, "v1")
			if tc.passes && err != nil {
				t.Errorf("Check() = %v, want nil", err)
			}
			if !tc.passes && !errors.Is(err, registry.PreconditionFailed) {
				t.Errorf("Check() = %v, want %v", err, registry.PreconditionFailed)
			}
		})
	}
}

// A document that was deleted and made anew begins at version 1 again: its tag
// must not be one that it had before.
func TestATagNamesOneStateForEver(t *testing.T) {
	t.Parallel()
	tags := map[string]string{}
	for what, tag := range map[string]string{
		"an environment":            registry.Environment{Name: "a", Meta: registry.Meta{Revision: 3, Version: 1}}.Tag(),
		"its next version":          registry.Environment{Name: "a", Meta: registry.Meta{Revision: 4, Version: 2}}.Tag(),
		"made anew":                 registry.Environment{Name: "a", Meta: registry.Meta{Revision: 6, Version: 1}}.Tag(),
		"another one":               registry.Environment{Name: "b", Meta: registry.Meta{Revision: 3, Version: 1}}.Tag(),
		"digits that run together":  registry.Environment{Name: "a", Meta: registry.Meta{Revision: 31, Version: 1}}.Tag(),
		"digits that run the other": registry.Environment{Name: "a", Meta: registry.Meta{Revision: 3, Version: 11}}.Tag(),
		"an agent":                  registry.Agent{ID: "0197c0de-0000-7000-8000-000000000001", Version: 1}.Tag(),
		"the agent later":           registry.Agent{ID: "0197c0de-0000-7000-8000-000000000001", Version: 2}.Tag(),
	} {
		if other, ok := tags[tag]; ok {
			t.Errorf("%s and %s have the tag %q", what, other, tag)
		}
		tags[tag] = what
	}
}
