package feed

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// rich is a registry that has something of everything.
func rich() registry.Facts {
	ten, at := int64(10), time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	m := registrytest.NewModel("e1")
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production", Grants: "explicit", MaxStaleness: "15m", ReservedNames: []string{"needle"}})
	m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", Grants: "permissions"})
	m.PutPolicy(registrytest.Policy(1))
	m.PutAgent(registry.AgentFacts{
		ID: "0197c000-0000-7000-8000-000000000001", Name: "triage", Team: "support", AgentType: "assistant", Environment: "production", Subject: "a@clients",
		Suspended: true, Scopes: []string{"data:read"}, ExpiresAt: at, ValidAfter: at.Add(time.Hour), Labels: map[string]string{"<&>": "\u2028"},
		Quota: registry.Quota{RequestsPerSecond: &ten},
	})
	m.PutAgent(registry.AgentFacts{ID: "0197c000-0000-7000-8000-000000000002", Name: "needle", Environment: "staging", Subject: "b@clients"})
	m.PutResource(registry.ResourceFacts{
		Name: "billing", Type: registry.Skill, Team: "finance", DataClassification: "high", RequiredPermissions: []string{"data:read"},
		Access: registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{"support"}, AgentTypes: []string{}}, Environments: []string{"production"},
		Labels: map[string]string{},
	})
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: "hours"}, Rules: []registry.Rule{
		{Code: "closed", Effect: registry.Deny, Message: "needle", When: registry.Conditions{
			Resources: []string{"billing"}, ResourceTypes: []registry.ResourceType{registry.Skill}, Methods: []string{"POST"}, Environments: []string{"production"},
			DataClassification: []string{"high"}, Permissions: []string{"data:read"}, AgentTypes: []string{"assistant"},
			OutsideHours: &registry.Hours{From: "09:00", To: "17:00", Days: []string{"mon"}, Timezone: "Europe/Berlin"},
		}},
		{Code: "never", Effect: registry.Allow, When: registry.Conditions{Methods: []string{}}},
		{Code: "always", Effect: registry.Allow},
	}})
	m.PutLayer(registry.LayerFacts{
		LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "support"}, Rego: "package b", Previous: "package a", Required: true,
		Ceiling: &registry.Ceiling{Permissions: []string{}},
	})
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierAgent, ID: "0197c000-0000-7000-8000-000000000001"}, Environment: "production"})
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierAgent, ID: "0197c000-0000-7000-8000-000000000002"}, Environment: "staging", Rego: "needle"})
	return m.Facts()
}

// production is what of the facts the scope's policy sees.
func production(f registry.Facts) registry.Facts {
	f = registrytest.Sorted(f)
	f.Environments = slices.DeleteFunc(f.Environments, func(e registry.EnvironmentFacts) bool { return e.Name != "production" })
	f.Environments[0].ReservedNames = nil
	f.Agents = slices.DeleteFunc(f.Agents, func(a registry.AgentFacts) bool { return a.Environment != "production" })
	f.Layers = slices.DeleteFunc(f.Layers, func(l registry.LayerFacts) bool { return l.Environment == "staging" })
	for _, l := range f.Layers {
		for i := range l.Rules {
			l.Rules[i].Message = ""
		}
	}
	for p := range f.Scopes {
		if p.Scope != "production" {
			delete(f.Scopes, p)
		}
	}
	f.AgentClients = nil
	return f
}

func written(t testing.TB, f registry.Facts) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeSnapshot(&b, snapshot.New(f), "production"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func anything(registry.Head) error { return nil }

func readFrom(text string) (registry.Facts, error) {
	return readSnapshot(newReader(strings.NewReader(text)), "production", anything)
}

func TestASnapshotIsReadAsItWas(t *testing.T) {
	t.Parallel()
	text := written(t, rich())
	got, err := readFrom(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if diff := cmp.Diff(production(rich()), registrytest.Sorted(got), cmp.FilterPath(isLayerRules, cmpopts.EquateEmpty())); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if again := written(t, rich()); again != text {
		t.Error("the same state gives other bytes")
	}
}

// isLayerRules is for a layer without rules; in their conditions, a list of none is
// not the same as no list.
func isLayerRules(p cmp.Path) bool { return p.Last().String() == ".Rules" }

// Others read it too: what a line looks like is part of the wire.
func TestLinesLookAsDocumented(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	head := func(r int64) registry.Head { return registry.Head{Epoch: "e1", Revision: r} }
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := rich()
	err := writeChanges(&b, "production", []registry.Change{
		{Head: head(4), Kind: registry.AgentChange, ObjectID: f.Agents[0].ID, NewScope: "production", Agent: &f.Agents[0], At: at},
		{Head: head(5), Kind: registry.AgentChange, ObjectID: f.Agents[1].ID, OldScope: "production", NewScope: "staging", Agent: &f.Agents[1], At: at},
		{Head: head(7), Kind: registry.EnvironmentChange, ObjectID: "production", NewScope: "production", Environment: &f.Environments[0], At: at},
		{Head: head(9), Kind: registry.HeartbeatChange, ObjectID: "production", OldScope: "production", NewScope: "production", At: at},
		{Head: head(10), Kind: registry.ResourceChange, ObjectID: "billing", OldScope: registry.AllScopes, At: at},
	}, head(12))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"epoch":"e1","revision":4,"at":"2026-03-01T12:00:00Z","kind":"agent","id":"0197c000-0000-7000-8000-000000000001","after":{"id":"0197c000-0000-7000-8000-000000000001","name":"triage","team":"support","agent_type":"assistant","environment":"production","subject":"a@clients","suspended":true,"scopes":["data:read"],"expires_at":"2026-03-01T12:00:00.000000005Z","valid_after":"2026-03-01T13:00:00.000000005Z","labels":{"<&>":"\u2028"},"quota":{"requests_per_second":10,"requests_per_day":null}}}
{"epoch":"e1","revision":5,"at":"2026-03-01T12:00:00Z","kind":"agent","id":"0197c000-0000-7000-8000-000000000002","after":null}
{"epoch":"e1","revision":7,"at":"2026-03-01T12:00:00Z","kind":"environment","id":"production","after":{"name":"production","grants":"explicit","max_staleness":"15m"}}
{"epoch":"e1","revision":9,"at":"2026-03-01T12:00:00Z","kind":"heartbeat","id":"production","after":null}
{"epoch":"e1","revision":10,"at":"2026-03-01T12:00:00Z","kind":"resource","id":"billing","after":null}
{"kind":"end","epoch":"e1","revision":12,"count":5}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	first, _, _ := strings.Cut(written(t, f), "\n")
	if !strings.HasPrefix(first, `{"kind":"begin","epoch":"e1","revision":10,"scope":"production","as_of":"`) || !strings.Contains(first, `"parts":{"agents-0":{"revision":`) {
		t.Errorf("a snapshot begins with %s", first)
	}
}

func TestInvariant_B7_TheFeedHasNothingThatADecisionDoesNotNeed(t *testing.T) {
	t.Parallel()
	if text := written(t, rich()); strings.Contains(text, "needle") || strings.Contains(text, "reserved_names") {
		t.Errorf("it tells of what policy does not need:\n%s", text)
	}
}

// What is spoiled in any way is no answer.
func TestABrokenSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	good := written(t, rich())
	lines := slices.Collect(strings.Lines(good))
	join := func(l ...string) string { return strings.Join(l, "") }
	agent := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kind":"agent"`) })
	without := func(i int) []string { return slices.Delete(slices.Clone(lines), i, i+1) }
	end := len(lines) - 1
	for name, text := range map[string]string{
		"nothing":                     "",
		"no begin":                    join(without(0)...),
		"no end":                      join(lines[:end]...),
		"cut in its end":              good[:len(good)-5],
		"no newline at its end":       good[:len(good)-1],
		"a line is missing":           join(without(agent)...),
		"a line is there twice":       join(slices.Insert(slices.Clone(lines), agent, lines[agent])...),
		"the same object twice":       join(append(slices.Insert(slices.Clone(lines[:end]), agent, lines[agent]), strings.Replace(lines[end], `"count":7`, `"count":8`, 1))...),
		"something follows":           good + lines[agent] + "\n",
		"another answer follows":      good + good,
		"another scope":               strings.Replace(good, `"scope":"production"`, `"scope":"staging"`, 1),
		"another scope's agent":       strings.Replace(good, `"environment":"production","subject"`, `"environment":"staging","subject"`, 1),
		"a line of another epoch":     strings.Replace(good, lines[agent], strings.Replace(lines[agent], `"e1"`, `"e2"`, 1), 1),
		"a line of another revision":  strings.Replace(good, lines[agent], strings.Replace(lines[agent], `"revision":10`, `"revision":9`, 1), 1),
		"the end of another revision": strings.Replace(good, lines[end], strings.Replace(lines[end], `"revision":10`, `"revision":12`, 1), 1),
		"an unknown kind":             strings.Replace(good, `"kind":"agent"`, `"kind":"robot"`, 1),
		"an unknown field":            strings.Replace(good, `"suspended":true`, `"suspended":true,"x":1`, 1),
		"an unknown condition":        strings.Replace(good, `"when":{}`, `"when":{"weather":["fine"]}`, 1),
		"an unknown effect":           strings.Replace(good, `"effect":"deny"`, `"effect":"log"`, 1),
		"a field is missing":          strings.Replace(good, `"suspended":true,`, ``, 1),
		"conditions are missing":      strings.Replace(good, `,"when":{}`, ``, 1),
		"access is missing":           strings.Replace(good, `"access":{`, `"access":null,"x":{`, 1),
		"access is null":              strings.Replace(good, `{"visibility":"team","teams":["support"],"agent_types":[]}`, `null`, 1),
		"a list is null":              strings.Replace(good, `"required_permissions":["data:read"]`, `"required_permissions":null`, 1),
		"the id is another":           strings.Replace(good, `"name":"billing"`, `"name":"billing2"`, 1),
		"an object is gone":           join(append(append(slices.Clone(lines[:end]), `{"epoch":"e1","revision":10,"at":"2026-03-01T12:00:00Z","kind":"resource","id":"x","after":null}`+"\n"), strings.Replace(lines[end], `"count":7`, `"count":8`, 1))...),
		"a part is missing":           strings.Replace(good, `"agents-0":`, `"agents-x":`, 1),
		"a touch of the future":       strings.Replace(good, `"agents-0":{"revision":3`, `"agents-0":{"revision":99`, 1),
		"no JSON":                     strings.Replace(good, lines[agent], "{\n", 1),
		"an empty line":               strings.Replace(good, lines[agent], "\n"+lines[agent], 1),
		"a field beside the line's":   strings.Replace(good, `"kind":"agent",`, `"kind":"agent","count":1,`, 1),
		"two values in a line":        strings.Replace(good, "}\n", "}{}\n", 1),
		"a line without end":          `{"kind":"` + strings.Repeat("x", maxLine+1<<17),
	} {
		if text == good {
			t.Errorf("%s: the test spoils nothing", name)
		}
		if got, err := readFrom(text); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: read %v, %v; want ErrBroken", name, got.Head, err)
		}
	}
	for n := 0; n < len(good); n += 11 { // wherever it stops
		if _, err := readFrom(good[:n]); !errors.Is(err, ErrBroken) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	if _, err := readSnapshot(newReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(good)))), "production", anything); !errors.Is(err, registry.Unavailable) || errors.Is(err, ErrBroken) {
		t.Errorf("a connection that broke: %v, want Unavailable", err)
	}
}

func TestBrokenChangesAreRefused(t *testing.T) {
	t.Parallel()
	since := registry.Head{Epoch: "e1", Revision: 3}
	beat := func(revision string) string {
		return `{"epoch":"e1","revision":` + revision + `,"at":"2026-03-01T12:00:00Z","kind":"heartbeat","id":"production","after":null}` + "\n"
	}
	end := func(revision, count string) string {
		return `{"kind":"end","epoch":"e1","revision":` + revision + `,"count":` + count + "}\n"
	}
	tests := map[string]struct {
		text string
		want int64 // up to which revision; 0: broken
	}{
		"nothing new":               {end("3", "0"), 3},
		"nothing, and the head":     {end("9", "0"), 9},
		"with a gap":                {beat("5") + beat("7") + end("9", "2"), 9},
		"no end":                    {beat("5"), 0},
		"nothing at all":            {"", 0},
		"it goes back":              {end("2", "0"), 0},
		"it ends before its change": {beat("5") + end("4", "1"), 0},
		"out of order":              {beat("7") + beat("5") + end("9", "2"), 0},
		"the same twice":            {beat("5") + beat("5") + end("9", "2"), 0},
		"what is known already":     {beat("3") + end("9", "1"), 0},
		"of another epoch":          {strings.Replace(beat("5"), "e1", "e2", 1) + end("9", "1"), 0},
		"up to another epoch":       {strings.Replace(end("9", "0"), "e1", "e2", 1), 0},
		"a line is missing":         {beat("5") + end("9", "2"), 0},
		"a line too much":           {beat("5") + end("9", "0"), 0},
		"an unknown kind":           {strings.Replace(beat("5"), "heartbeat", "omen", 1) + end("9", "1"), 0},
		"a kind of no scope":        {strings.Replace(beat("5"), "heartbeat", "team", 1) + end("9", "1"), 0},
		"the policy is gone":        {strings.Replace(beat("5"), "heartbeat", "platform_policy", 1) + end("9", "1"), 0},
		"a heartbeat with an image": {strings.Replace(beat("5"), "null", "{}", 1) + end("9", "1"), 0},
		"another environment":       {strings.Replace(strings.Replace(beat("5"), "heartbeat", "environment", 1), "production", "staging", 1) + end("9", "1"), 0},
		"a layer of no tier":        {strings.Replace(strings.Replace(beat("5"), "heartbeat", "layer", 1), "production", "platform/a", 1) + end("9", "1"), 0},
		"a snapshot":                {`{"kind":"begin","epoch":"e1","revision":9,"scope":"production","as_of":"2026-03-01T12:00:00Z","touched":1,"parts":{}}` + "\n" + end("9", "0"), 0},
	}
	for name, tc := range tests {
		a, err := readChanges(newReader(strings.NewReader(tc.text)), "production", since)
		if tc.want == 0 {
			if !errors.Is(err, ErrBroken) {
				t.Errorf("%s: read %v, %v; want ErrBroken", name, a, err)
			}
		} else if err != nil || a.upTo.Revision != tc.want {
			t.Errorf("%s: read up to %v, %v; want %d", name, a.upTo, err, tc.want)
		}
	}
	many := strings.Builder{}
	for i := range maxChanges + 1 {
		many.WriteString(beat(strconv.Itoa(i + 4)))
	}
	if _, err := readChanges(newReader(strings.NewReader(many.String())), "production", since); !errors.Is(err, ErrBroken) {
		t.Errorf("more changes than are followed: %v, want ErrBroken", err)
	}
}

func TestHeadsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, h := range []registry.Head{{Epoch: "00112233445566ff", Revision: 42}, {Epoch: "e1"}} {
		if got, err := ParseHead(FormatHead(h)); err != nil || got != h {
			t.Errorf("ParseHead(FormatHead(%v)) = %v, %v", h, got, err)
		}
	}
	for _, s := range []string{"", ".", "e1", "e1.", ".1", "e1.01", "e1.+1", "e1.-1", "e1.1.1", "e1.x", "e1.9223372036854775808", " e1.1", "e1.1 "} {
		if got, err := ParseHead(s); !errors.Is(err, registry.Invalid) {
			t.Errorf("ParseHead(%q) = %v, %v; want Invalid", s, got, err)
		}
	}
}
