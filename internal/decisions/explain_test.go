package decisions

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// layered is the registry with these layers beside its own.
func layered(t *testing.T, v *snapshot.View, all ...registry.LayerFacts) *snapshot.View {
	t.Helper()
	for _, l := range all {
		var err error
		next := registry.Head{Epoch: v.Head().Epoch, Revision: v.Head().Revision + 1}
		v, err = v.Apply([]registry.Change{{Head: next, Kind: registry.LayerChange, ObjectID: l.String(), NewScope: l.Scope(), Layer: &l, At: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return v
}

var (
	office = registry.LayerFacts{
		LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "customer-success"}, Revision: 43,
		Rules: []registry.Rule{{
			Code: "office_hours", Effect: registry.Deny, Message: "Nobody watches at night",
			When: registry.Conditions{OutsideHours: &registry.Hours{From: "09:00", To: "17:00", Timezone: "Europe/Berlin"}},
		}},
	}
	readers = registry.LayerFacts{
		LayerKey: registry.LayerKey{Tier: registry.TierAgentType, ID: "support"}, Revision: 44,
		Ceiling: &registry.Ceiling{Permissions: []string{"data:read"}},
	}
	day   = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	night = time.Date(2026, 3, 25, 23, 0, 0, 0, time.UTC)
)

func explain(t *testing.T, v *snapshot.View, ask Ask) Explanation {
	t.Helper()
	e, err := serviceOf(v).Explain(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnAllowedCallIsExplained(t *testing.T) {
	t.Parallel()
	e := explain(t, viewOf(platform()), Ask{Agent: "triage", Resource: "hello-skill"})
	if !e.Decision.Allow || len(e.Hints) != 0 {
		t.Errorf("decision %+v, hints %q", e.Decision, e.Hints)
	}
	for _, c := range e.Checks {
		if !c.Holds || c.Text == "" {
			t.Errorf("check %+v", c)
		}
	}
	if len(e.Checks) != 12 {
		t.Errorf("%d checks, want 12", len(e.Checks))
	}
}

// Of each reason people are told what was asked for, what there is, and who can change
// what.
func TestADenialIsExplained(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		ask        Ask
		layers     []registry.LayerFacts
		code       string
		text, hint []string // what the check's text and the hint name
	}{
		"suspended":  {Ask{Agent: "sleeper", Resource: "hello-skill"}, nil, "agent_suspended", []string{"sleeper is suspended"}, []string{"Team customer-success", "resume"}},
		"expired":    {Ask{Agent: "gone", Resource: "hello-skill"}, nil, "agent_expired", []string{"expired at 2023-11-14T22:13:20Z"}, []string{"Team customer-success", "expiry"}},
		"unknown":    {Ask{Agent: "triage", Resource: "nothing"}, nil, "resource_unknown", []string{`"nothing"`}, []string{"name", "register"}},
		"long path":  {Ask{Agent: "triage", Resource: "hello-skill", Path: strings.Repeat("/x", 65)}, nil, "resource_unknown", []string{"65 segments"}, nil},
		"elsewhere":  {Ask{Agent: "tester", Resource: "hello-skill"}, nil, "environment_mismatch", []string{"deployed in production, sealed", "in staging"}, []string{"Team platform", "deploy", "staging"}},
		"access":     {Ask{Agent: "reader", Resource: "ledger", Method: "GET"}, nil, "access_denied", []string{"team payments", "customer-success", "type support"}, []string{"Team payments", "admit team customer-success"}},
		"permission": {Ask{Agent: "mute", Resource: "hello-skill"}, nil, "missing_permission", []string{"needs skills:invoke", "lacks skills:invoke"}, []string{"Team platform", "scope skills:invoke", "type support"}},
		"no grant":   {Ask{Agent: "careful", Resource: "hello-skill"}, nil, "no_grant", []string{"environment sealed", "must allow", "none does"}, []string{"Environment sealed", "allow rule"}},
		"a layer":    {Ask{Agent: "triage", Resource: "hello-skill", At: night}, []registry.LayerFacts{office}, "office_hours", nil, []string{"team/customer-success", "office_hours", "team customer-success or an admin"}},
		"a ceiling":  {Ask{Agent: "triage", Resource: "hello-skill"}, []registry.LayerFacts{readers}, "above_ceiling", nil, []string{"[skills:invoke]", "[data:read]", "An admin can change the ceiling"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, layered(t, viewOf(platform()), row.layers...), row.ask)
			if !slices.Contains(codes(e.Decision), row.code) {
				t.Fatalf("codes %q, want %s", codes(e.Decision), row.code)
			}
			text := ""
			for _, c := range e.Checks {
				if c.Code == row.code {
					text = c.Text
				}
			}
			for _, part := range row.text {
				if !strings.Contains(text, part) {
					t.Errorf("the check says %q, not %q", text, part)
				}
			}
			hints := strings.Join(e.Hints, "\n")
			for _, part := range row.hint {
				if !strings.Contains(hints, part) {
					t.Errorf("the hints say %q, not %q", hints, part)
				}
			}
		})
	}
}

func TestLayersAreExplainedRuleByRule(t *testing.T) {
	t.Parallel()
	v := layered(t, viewOf(platform()), office)
	for at, matched := range map[time.Time]bool{day: false, night: true} {
		e := explain(t, v, Ask{Agent: "triage", Resource: "hello-skill", At: at})
		if len(e.Layers) != 1 || e.Decision.Allow == matched {
			t.Fatalf("decision %+v, layers %+v", e.Decision, e.Layers)
		}
		if diff := cmp.Diff(office, e.Layers[0].Layer); diff != "" || !slices.Equal(e.Layers[0].Matched, []bool{matched}) {
			t.Errorf("matched %t, layer (-want +got):\n%s", e.Layers[0].Matched, diff)
		}
		if !e.At.Equal(at) {
			t.Errorf("at %s", e.At)
		}
	}
}

// Whoever asks about last night must know that today's registry answers.
func TestAnotherTimeIsAnsweredByTheRegistryOfNow(t *testing.T) {
	t.Parallel()
	v := layered(t, viewOf(platform()), office)
	for _, at := range []time.Time{day.AddDate(1, 0, 0), day.AddDate(-1, 0, 0)} { // of the data neither is stale
		e := explain(t, v, Ask{Agent: "triage", Resource: "hello-skill", At: at})
		if !e.Decision.Allow || len(e.Hints) != 1 || !strings.Contains(e.Hints[0], "as it is now, at revision 43") {
			t.Errorf("decision %+v, hints %q", e.Decision, e.Hints)
		}
	}
	if hints := explain(t, v, Ask{Agent: "triage", Resource: "hello-skill"}).Hints; slices.ContainsFunc(hints, func(h string) bool { return strings.Contains(h, "as it is now") }) {
		t.Errorf("of now too: %q", hints)
	}
}

func TestOfAPolicyThatWeDoNotKnowTheDecisionIsTold(t *testing.T) {
	t.Parallel()
	e := explain(t, viewOf(saying("closed")), Ask{Agent: "triage", Resource: "hello-skill"})
	if !slices.Equal(codes(e.Decision), []string{"closed"}) || e.Checks != nil || len(e.Hints) != 1 || !strings.Contains(e.Hints[0], "version 1") {
		t.Errorf("%+v", e)
	}
}

func TestExplainErrors(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		view *snapshot.View
		ask  Ask
		kind registry.Kind
	}{
		"nobody":                         {viewOf(platform()), Ask{Agent: "nobody", Resource: "hello-skill"}, registry.NotFound},
		"before the registry was loaded": {nil, Ask{Agent: "triage", Resource: "hello-skill"}, registry.Unavailable},
		"without a policy":               {viewOf(registry.PlatformPolicy{}), Ask{Agent: "triage", Resource: "hello-skill"}, registry.Unavailable},
	} {
		_, err := serviceOf(row.view).Explain(t.Context(), row.ask)
		_, _, tableErr := serviceOf(row.view).Table(t.Context(), row.ask, "", 10)
		if !errors.Is(err, row.kind) || !errors.Is(tableErr, row.kind) {
			t.Errorf("%s: errors %v and %v, want %s", name, err, tableErr, row.kind)
		}
	}
}

// table is what the agent may do, as text.
func table(t *testing.T, s *Service, ask Ask, limit int) (rows []string, pages int) {
	t.Helper()
	for after := ""; ; {
		page, next, err := s.Table(t.Context(), ask, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if pages++; len(page) > limit {
			t.Fatalf("%d rows on a page of %d", len(page), limit)
		}
		for _, p := range page {
			row := p.Resource.Name + ":"
			for _, m := range p.Methods {
				row += " " + m.Method + " " + strings.Join(codes(m.Decision), ",")
			}
			rows = append(rows, row)
		}
		if next == "" {
			return rows, pages
		}
		after = next
	}
}

func TestTheTableIsOfEachResourceAndMethodOfTheAgentsEnvironment(t *testing.T) {
	t.Parallel()
	v := layered(t, viewOf(platform()), office)
	denied := " access_denied,missing_permission"
	for name, row := range map[string]struct {
		ask  Ask
		want []string
	}{
		"every method": {Ask{Agent: "triage", At: day}, []string{
			"hello-skill: GET  POST  PUT  PATCH  DELETE ",
			"ledger: GET" + denied + " POST" + denied + " PUT" + denied + " PATCH" + denied + " DELETE" + denied,
		}},
		"one method":       {Ask{Agent: "triage", Method: "POST", At: night}, []string{"hello-skill: POST office_hours", "ledger: POST access_denied,missing_permission,office_hours"}},
		"nothing deployed": {Ask{Agent: "tester"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for limit, pages := range map[int]int{1: max(1, len(row.want)), 50: 1} {
				got, n := table(t, serviceOf(v), row.ask, limit)
				if diff := cmp.Diff(row.want, got); diff != "" || n != pages {
					t.Errorf("on %d pages of %d, want %d (-want +got):\n%s", n, limit, pages, diff)
				}
			}
		})
	}
}

func TestATableThatTakesTooLongIsShort(t *testing.T) {
	t.Parallel()
	s := serviceOf(manyAgents(7, platform()))
	s.scanTime = -1
	if rows, pages := table(t, s, Ask{Agent: "agent-000000", Method: "POST"}, 50); len(rows) != 7 || pages != 7 {
		t.Errorf("%d rows on %d pages", len(rows), pages)
	}
}
