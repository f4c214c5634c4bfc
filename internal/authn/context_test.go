package authn

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestPrincipal_TravelsInTheContext(t *testing.T) {
	t.Parallel()
	want := registry.Principal{Subject: "auth0|ana", Teams: []string{"platform"}}
	ctx := WithPrincipal(t.Context(), want)
	if diff := cmp.Diff(want, PrincipalFrom(ctx)); diff != "" {
		t.Errorf("PrincipalFrom (-want +got):\n%s", diff)
	}
	got, ok := LookupPrincipal(ctx)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("LookupPrincipal found %v (-want +got):\n%s", ok, diff)
	}
}

func TestPrincipal_AbsenceIsABugOrAnAnswer(t *testing.T) {
	t.Parallel()
	if p, ok := LookupPrincipal(t.Context()); ok {
		t.Errorf("LookupPrincipal found %v in an empty context", p)
	}
	defer func() {
		if recover() == nil {
			t.Error("PrincipalFrom answered without a principal")
		}
	}()
	PrincipalFrom(t.Context())
}
