package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/registry"
)

func TestQuestionsAreRead(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]decisions.Ask{
		`{"agent": "triage"}`: {Agent: "triage"},
		`{"agent": "triage", "resource": "hello-skill", "method": "GET", "path": "", "time": "2026-11-28T03:00:00+01:00"}`: {
			Agent: "triage", Resource: "hello-skill", Method: "GET", At: time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC),
		},
	} {
		got, err := questionFromAPI(json.RawMessage(body))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, diff)
		}
	}
}

func TestEveryFaultOfAQuestionIsTold(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]map[string]string{
		`{}`:                        {"/agent": "required"},
		`[]`:                        {"": "type"},
		`null`:                      {"": "type"},
		`{"agent": ""}`:             {"/agent": "minLength"},
		`{"agent": 7, "a/b": true}`: {"/agent": "type", "/a~1b": "additionalProperties"},
		`{"agent": "` + strings.Repeat("x", 65) + `", "method": "", "time": "now"}`: {"/agent": "maxLength", "/method": "minLength", "/time": "format"},
		`{"agent": "a", "time": "9999-01-01T00:00:00Z"}`:                            {"/time": "format"},
		`{"agent": "a", "time": "2026-11-28"}`:                                      {"/time": "format"},
	} {
		_, err := questionFromAPI(json.RawMessage(body))
		e, ok := registry.AsError(err)
		if !ok || e.Kind != registry.Invalid || e.Code != "invalid_question" {
			t.Errorf("%s: %v", body, err)
			continue
		}
		got := map[string]string{}
		for _, f := range e.Fields {
			got[f.Pointer] = f.Code
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestALayersContributionOnTheWire(t *testing.T) {
	t.Parallel()
	layer := registry.LayerFacts{
		LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "red"}, Revision: 7,
		Rules: []registry.Rule{
			{Code: "no_writes", Effect: registry.Deny, Message: "Read only", When: registry.Conditions{Methods: []string{"POST"}}},
			{Code: "all", Effect: registry.Allow},
		},
	}
	const rules = `{"code": "no_writes", "effect": "deny", "matched": %t, "message": "Read only", "when": {"methods": ["POST"]}}, {"code": "all", "effect": "allow", "matched": true}`
	matching, missing := strings.Replace(rules, "%t", "true", 1), strings.Replace(rules, "%t", "false", 1)
	for name, row := range map[string]struct {
		contribution decide.Contribution
		want         string
	}{
		"denies": {
			decide.Contribution{Layer: layer, Matched: []bool{true, true}, Deny: []string{"late"}, Allow: []string{"own"}},
			`{"tier": "team", "id": "red", "revision": 7, "effect": "deny", "rules": [` + matching + `,
				{"code": "late", "effect": "deny", "matched": true, "custom": true}, {"code": "own", "effect": "allow", "matched": true, "custom": true}]}`,
		},
		"allows": {
			decide.Contribution{Layer: layer, Matched: []bool{false, true}},
			`{"tier": "team", "id": "red", "revision": 7, "effect": "allow", "rules": [` + missing + `]}`,
		},
		"neither": {
			decide.Contribution{Layer: registry.LayerFacts{LayerKey: layer.LayerKey, Revision: 7}},
			`{"tier": "team", "id": "red", "revision": 7, "effect": "none", "rules": []}`,
		},
		"missing and above": {
			decide.Contribution{Layer: registry.LayerFacts{LayerKey: layer.LayerKey, Revision: 7}, Missing: true, AboveCeiling: true},
			`{"tier": "team", "id": "red", "revision": 7, "effect": "deny", "missing": true, "above_ceiling": true, "rules": []}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoded, err := json.Marshal(contributionToAPI(row.contribution))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(row.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("contribution (-want +got):\n%s", diff)
			}
		})
	}
}
