package rulebook_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
)

// TestInvariant_A1_OnlyAdminsWriteTheRules asks the service itself: the rule does
// not hang on how a call arrived. There is no store: nothing may reach one.
func TestInvariant_A1_OnlyAdminsWriteTheRules(t *testing.T) {
	t.Parallel()
	s, ctx := rulebook.NewService(nil), t.Context()
	var anyState registry.Precondition
	all := make([]registry.Permission, 0, len(registry.Permissions))
	for _, p := range registry.Permissions {
		if p.Name != registry.Admin {
			all = append(all, p.Name)
		}
	}
	for who, by := range map[string]registry.Principal{
		"nobody": {}, "a member": {Teams: []string{"platform"}}, "a holder of everything else": {Teams: []string{"platform"}, Permissions: all},
	} {
		for what, write := range map[string]func() error{
			"put environment":    func() error { _, _, err := s.PutEnvironment(ctx, by, registry.Environment{}, anyState); return err },
			"delete environment": func() error { return s.DeleteEnvironment(ctx, by, "production", anyState) },
			"put agent type":     func() error { _, _, err := s.PutAgentType(ctx, by, registry.AgentType{}, anyState); return err },
			"delete agent type":  func() error { return s.DeleteAgentType(ctx, by, "support", anyState) },
			"put team":           func() error { _, _, err := s.PutTeam(ctx, by, registry.Team{Name: "platform"}, anyState); return err },
			"delete team":        func() error { return s.DeleteTeam(ctx, by, "platform", anyState) },
		} {
			if err := write(); !errors.Is(err, registry.Forbidden) {
				t.Errorf("%s by %s: %v, want Forbidden", what, who, err)
			}
		}
	}
}

// teams is a store of teams in memory; it lists as a database does.
type teams struct {
	rulebook.Store
	names []string // in order
}

func (s teams) Teams(_ context.Context, after string, limit int) ([]registry.Team, error) {
	var page []registry.Team
	for _, name := range s.names {
		if name > after && len(page) < limit {
			page = append(page, registry.Team{Name: name})
		}
	}
	return page, nil
}

func TestPagesHaveEveryItemOnceAndTheLastHasNoNext(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		names string
		limit int
		want  string // pages
	}{
		{"", 2, ""},
		{"a", 2, "a"},
		{"a b", 2, "a b"},
		{"a b c", 2, "a b|c"},
		{"a b c d", 2, "a b|c d"},
		{"a b c", 1, "a|b|c"},
	} {
		s := rulebook.NewService(teams{names: strings.Fields(tc.names)})
		var pages []string
		for after := ""; ; {
			items, next, err := s.Teams(t.Context(), after, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			names := make([]string, len(items))
			for i, item := range items {
				names[i] = item.Name
			}
			pages = append(pages, strings.Join(names, " "))
			if after = next; after == "" {
				break
			}
		}
		if got := strings.Join(pages, "|"); got != tc.want {
			t.Errorf("pages of %d of %q: %q, want %q", tc.limit, tc.names, got, tc.want)
		}
	}
}
