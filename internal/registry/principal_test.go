package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAdminImpliesEveryPermissionAndNothingElseImpliesAnother(t *testing.T) {
	t.Parallel()
	for _, held := range registry.Permissions {
		by := registry.Principal{Permissions: []registry.Permission{held.Name}}
		for _, asked := range registry.Permissions {
			want := held.Name == asked.Name || held.Name == registry.Admin
			if got := by.Can(asked.Name); got != want {
				t.Errorf("a holder of %s can %s: %t, want %t", held.Name, asked.Name, got, want)
			}
		}
	}
	if (registry.Principal{}).Can(registry.AgentsRead) {
		t.Error("a caller without permissions can read agents")
	}
}

func TestActsFor(t *testing.T) {
	t.Parallel()
	all := make([]registry.Permission, 0, len(registry.Permissions))
	for _, p := range registry.Permissions {
		if p.Name != registry.Admin {
			all = append(all, p.Name)
		}
	}
	for name, tc := range map[string]struct {
		by   registry.Principal
		team string
		want bool
	}{
		"a member":                         {registry.Principal{Teams: []string{"a", "b"}}, "b", true},
		"a stranger":                       {registry.Principal{Teams: []string{"a"}}, "b", false},
		"a team that begins like another":  {registry.Principal{Teams: []string{"ab"}}, "a", false},
		"no team at all":                   {registry.Principal{}, "a", false},
		"no team for no team":              {registry.Principal{}, "", false},
		"an admin":                         {registry.Principal{Permissions: []registry.Permission{registry.Admin}}, "a", true},
		"every permission but admin":       {registry.Principal{Permissions: all, Teams: []string{"a"}}, "b", false},
		"a team that is called like admin": {registry.Principal{Teams: []string{"admin"}}, "b", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.by.ActsFor(tc.team); got != tc.want {
				t.Errorf("ActsFor(%q) = %t, want %t", tc.team, got, tc.want)
			}
		})
	}
}

func TestTheActorIsTheCallerInItsRequest(t *testing.T) {
	t.Parallel()
	by := registry.Principal{Subject: "auth0|ana", ClientID: "Qm4"}
	want := registry.Actor{Subject: "auth0|ana", RequestID: "request-1"}
	if diff := cmp.Diff(want, by.Actor(registry.WithRequestID(t.Context(), "request-1"))); diff != "" {
		t.Errorf("Actor() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(registry.Actor{Subject: "auth0|ana"}, by.Actor(t.Context())); diff != "" {
		t.Errorf("Actor() outside a request (-want +got):\n%s", diff)
	}
}
