package auth0

import (
	"errors"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// foreignAction makes, deploys and binds an Action that is not ours.
func (tn *tenant) foreignAction(t *testing.T, name, displayName string) {
	t.Helper()
	p := &preparer{config: tn.setupConfig(), client: tn.client(t, nil)}
	action := &management.Action{
		Name:              &name,
		SupportedTriggers: []management.ActionTrigger{{ID: new(trigger), Version: new("v2")}},
		Code:              new(`exports.onExecuteCredentialsExchange = async (event, api) => { api.accessToken.setCustomClaim("https://other.example/` + name + `", "ran"); };`),
	}
	code := action.GetCode()
	if err := p.client.management.Action.Create(t.Context(), action); err != nil {
		t.Fatal(err)
	}
	if err := p.deploy(t.Context(), action.GetID(), code); err != nil {
		t.Fatal(err)
	}
	bound, err := p.bindings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.extend(bound, action.GetID())
	if err != nil {
		t.Fatal(err)
	}
	list[len(list)-1].DisplayName = &displayName
	if err := p.client.management.Action.UpdateBindings(t.Context(), trigger, list); err != nil {
		t.Fatal(err)
	}
}

func TestSetupKeepsForeignBindingsWithOrderAndNames(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	tn.foreignAction(t, "second", "B: the second")
	tn.foreignAction(t, "first", "A: the first")
	for range 2 {
		if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
			t.Fatal(err)
		}
	}
	tn.foreignAction(t, "third", "C: the third")
	c := tn.setupConfig()
	c.Installation = "other"
	if _, err := Setup(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	bound, err := (&preparer{client: tn.client(t, nil)}).bindings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range bound {
		got = append(got, b.GetDisplayName())
	}
	want := []string{"B: the second", "A: the first", "credence-claims-test", "C: the third", "credence-claims-other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSetupDoesNotTouchBindingsItCannotKeep(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	for name, body := range map[string]string{
		"secrets":   `{"bindings":[{"id":"b1","display_name":"theirs","action":{"id":"a1"},"secrets":[{"name":"s"}]}],"total":1,"per_page":50}`,
		"no action": `{"bindings":[{"id":"b1","display_name":"theirs"}],"total":1,"per_page":50}`,
		"null":      `{"bindings":[null],"total":1,"per_page":50}`,
		"cut short": `{"bindings":[],"total":1,"per_page":50}`,
		"empty":     `{}`,
	} {
		tn.faults.set("GET", "/api/v2/actions/triggers/credentials-exchange/bindings", answer(200, body))
		for _, dry := range []bool{true, false} {
			c := tn.setupConfig()
			c.DryRun = dry
			_, err := Setup(t.Context(), c)
			if _, ok := registry.AsError(err); !ok {
				t.Errorf("%s, dry run %t: %v", name, dry, err)
			}
		}
	}
	if n := tn.count("PATCH", "/api/v2/actions/triggers/credentials-exchange/bindings"); n != 0 {
		t.Errorf("the bindings were written %d times", n)
	}
}

func TestSetupNoticesThatSomebodyElseWroteTheBindings(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	// As if another list had been written right after ours.
	tn.faults.set("PATCH", "/api/v2/actions/triggers/credentials-exchange/bindings", answer(200, `{"bindings":[]}`))
	_, err := Setup(t.Context(), tn.setupConfig())
	if !errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), "somebody changed the bindings") {
		t.Errorf("%v", err)
	}
}
