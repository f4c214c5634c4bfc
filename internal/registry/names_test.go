package registry_test

import (
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// Names reach Vault templates, Rego packages and URL paths; the ids of agents
// stand in the same places.
func TestInvariant_A3_NamesAndIDsNeverCollide(t *testing.T) {
	t.Parallel()
	const id = "0197c0de-0000-7000-8000-000000000001"
	for name, tc := range map[string]struct {
		text        string
		valid, uuid bool
	}{
		"plain":                        {text: "support-triage", valid: true},
		"one letter":                   {text: "a", valid: true},
		"digits":                       {text: "42", valid: true},
		"63 characters":                {text: strings.Repeat("a", 63), valid: true},
		"two dashes":                   {text: "a--b", valid: true},
		"nearly a UUID":                {text: id[:35], valid: true},
		"a UUID without dashes":        {text: strings.ReplaceAll(id, "-", ""), valid: true},
		"dashes elsewhere":             {text: "0197c0de0-000-7000-8000-000000000001", valid: true},
		"a UUID":                       {text: id, uuid: true},
		"the nil UUID":                 {text: "00000000-0000-0000-0000-000000000000", uuid: true},
		"a UUID in capitals":           {text: strings.ToUpper(id), uuid: true},
		"a UUID in braces":             {text: "{" + id + "}"},
		"a UUID as a URN":              {text: "urn:uuid:" + id},
		"a UUID and a line's end":      {text: id + "\n"},
		"a UUID with full-width digit": {text: "０197c0de-0000-7000-8000-000000000001"},
		"empty":                        {text: ""},
		"64 characters":                {text: strings.Repeat("a", 64)},
		"a dash first":                 {text: "-a"},
		"a dash last":                  {text: "a-"},
		"a capital":                    {text: "Triage"},
		"underscore":                   {text: "a_b"},
		"dot":                          {text: "a.b"},
		"parent directory":             {text: ".."},
		"slash":                        {text: "a/b"},
		"escaped slash":                {text: "a%2fb"},
		"plus":                         {text: "a+b"},
		"star":                         {text: "a*"},
		"template":                     {text: "{{identity}}"},
		"quote":                        {text: `a"b`},
		"blank":                        {text: "a b"},
		"blank around":                 {text: " a "},
		"line's end":                   {text: "a\n"},
		"NUL":                          {text: "a\x00b"},
		"not UTF-8":                    {text: "a\xff"},
		"Cyrillic look-alike":          {text: "suppоrt"},
		"full-width letter":            {text: "ａbc"},
		"Arabic digit":                 {text: "a٣"},
		"zero-width joiner":            {text: "a\u200db"},
		"right-to-left mark":           {text: "a\u202eb"},
		"long s, which folds to s":     {text: "ſupport"},
		"Kelvin sign, which folds":     {text: "\u212aelvin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := registry.ValidName(tc.text); got != tc.valid {
				t.Errorf("ValidName(%q) = %t, want %t", tc.text, got, tc.valid)
			}
			if got := registry.IsUUID(tc.text); got != tc.uuid {
				t.Errorf("IsUUID(%q) = %t, want %t", tc.text, got, tc.uuid)
			}
		})
	}
}

func FuzzNothingIsBothANameAndAUUID(f *testing.F) {
	f.Add("support-triage")
	f.Add("0197c0de-0000-7000-8000-000000000001")
	f.Fuzz(func(t *testing.T, s string) {
		if registry.ValidName(s) && registry.IsUUID(s) {
			t.Errorf("%q is both", s)
		}
		if registry.ValidName(s) && strings.ContainsFunc(s, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
		}) {
			t.Errorf("%q is a name", s)
		}
	})
}

func TestAnAgentsEntityIsNamedByItsIDAlone(t *testing.T) {
	t.Parallel()
	a := registry.Agent{ID: "0197c0de-0000-7000-8000-000000000001", Name: "support-triage", ClientID: "Qm4"}
	if got, want := registry.EntityName(a.ID), "agent_0197c0de-0000-7000-8000-000000000001"; got != want {
		t.Errorf("EntityName() = %q, want %q", got, want)
	}
	if got, want := a.Subject(), "Qm4@clients"; got != want {
		t.Errorf("Subject() = %q, want %q", got, want)
	}
	if got := (registry.Agent{}).Subject(); got != "" {
		t.Errorf("the subject of an agent without a client is %q, want none", got)
	}
}
