package decide

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/util"

	"github.com/credenceproject/credence/internal/registry"
)

// Query is one call that policy is asked about, as a program asks that verified
// the caller's token itself.
type Query struct {
	Claims     map[string]any // of the caller's token: JSON, in any of the types that encoding/json takes
	TokenValid bool           // whether its signature, issuer and audience were checked
	Method     string         // of HTTP
	Path       []string       // segments below the resource
	Resource   string         // name
}

// Decision is what policy says of one call.
type Decision struct {
	Allow    bool
	Reasons  []Reason  // why not; of an allowed call none
	Agent    *Agent    // nil when the caller is no agent that policy knows
	Resource *Resource // nil when policy knows no such resource
	Revision int64     // of the bundle that says the same

	// Fault is set when policy gave no answer that could be used, as when it is
	// undefined or two of its rules conflict. The call is denied with the code
	// decision_undefined, as an OPA denies it too. It is for the log.
	Fault error
}

// Reason is one rule that spoke against a call.
type Reason struct {
	Tier string // platform, global, team, agent_type or agent
	ID   string // of what in the tier
	Code string // stable, snake_case
}

// Agent is the caller as policy knows it.
type Agent struct{ ID, Name, Team, AgentType, Environment string }

// Resource is what is called, as policy knows it.
type Resource struct{ Name, Type, Team string }

// Undefined is the decision when policy gave none.
func Undefined(revision int64, fault error) Decision {
	return Decision{
		Reasons:  []Reason{{Tier: string(registry.TierPlatform), ID: "policy", Code: "decision_undefined"}},
		Revision: revision,
		Fault:    fault,
	}
}

// compare orders reasons as Rego orders the objects that they are in its answer.
func (r Reason) compare(other Reason) int {
	if c := strings.Compare(r.Code, other.Code); c != 0 {
		return c
	}
	if c := strings.Compare(r.ID, other.ID); c != 0 {
		return c
	}
	return strings.Compare(r.Tier, other.Tier)
}

// text is s as JSON can say it: what is no UTF-8 is replaced byte by byte.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// strings of a list. What is no string in it is left out, as nothing that policy
// compares is equal to it.
func stringsOf(claim any) ([]string, error) {
	switch list := claim.(type) {
	case nil:
		return nil, nil
	case []string:
		for _, s := range list {
			if !utf8.ValidString(s) {
				return stringsOf(anyOf(list))
			}
		}
		return list, nil
	case []any:
		some := make([]string, 0, len(list))
		for _, element := range list {
			s, ok, err := stringOf(element)
			if err != nil {
				return nil, err
			}
			if ok {
				some = append(some, s)
			}
		}
		return some, nil
	case string, bool, float64, json.Number, map[string]any:
		return nil, nil
	default:
		plain, err := toJSON(claim)
		if err != nil {
			return nil, err
		}
		return stringsOf(plain)
	}
}

func anyOf(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// stringOf reads a claim that should be a string.
func stringOf(claim any) (s string, ok bool, err error) {
	switch claim := claim.(type) {
	case string:
		return text(claim), true, nil
	case nil, bool, float64, json.Number, int, int64, []any, []string, map[string]any:
		return "", false, nil
	default:
		plain, err := toJSON(claim)
		if err != nil {
			return "", false, err
		}
		s, ok := plain.(string)
		return s, ok, nil
	}
}

// toJSON makes of x what a reader of its JSON text gets.
func toJSON(x any) (any, error) {
	encoded, err := json.Marshal(x)
	if err != nil {
		return nil, registry.Invalid.Wrap(err, "claims_invalid", "the token's claims are not a JSON object")
	}
	var plain any
	if err := util.UnmarshalJSON(encoded, &plain); err != nil {
		return nil, registry.Invalid.Wrap(err, "claims_invalid", "the token's claims are not a JSON object")
	}
	return plain, nil
}
