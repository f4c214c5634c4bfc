package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/registry"
)

// questionFields are the members of a question, and how long each may be.
var questionFields = map[string]int{"agent": 64, "resource": 64, "method": 32, "path": 2048, "time": 64}

// questionFromAPI reads what is to be explained. It returns Invalid
// (invalid_question) with every fault.
func questionFromAPI(body json.RawMessage) (decisions.Ask, error) {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return decisions.Ask{}, invalidQuestion(registry.FieldError{Code: "type", Detail: "must be an object"})
	}
	var faults []registry.FieldError
	said := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text, detail, code := questionField(name, fields[name])
		if code != "" {
			faults = append(faults, registry.FieldError{Pointer: "/" + pointerEscape.Replace(name), Code: code, Detail: detail})
			continue
		}
		said[name] = text
	}
	if _, ok := fields["agent"]; !ok {
		faults = append(faults, registry.FieldError{Pointer: "/agent", Code: "required", Detail: "is required"})
	}
	if len(faults) > 0 {
		return decisions.Ask{}, invalidQuestion(faults...)
	}
	at, _ := time.Parse(time.RFC3339, said["time"]) // checked; the zero time where it is not said
	return decisions.Ask{Agent: said["agent"], Resource: said["resource"], Method: said["method"], Path: said["path"], At: at}, nil
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// questionField reads one member; code is "" where nothing is wrong with it.
func questionField(name string, value any) (text, detail, code string) {
	most, known := questionFields[name]
	if !known {
		return "", "is not a field of a question", "additionalProperties"
	}
	text, ok := value.(string)
	switch {
	case !ok:
		return "", "must be a string", "type"
	case text == "" && name != "path":
		return "", "must not be empty", "minLength"
	case len([]rune(text)) > most:
		return "", "is too long", "maxLength"
	}
	if name == "time" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.IsZero() || at.UTC().Year() < 1970 || at.UTC().Year() > 2200 {
			return "", "must be a time of RFC 3339 from 1970 to 2200, such as 2026-11-28T03:00:00+01:00", "format"
		}
	}
	return text, "", ""
}

func invalidQuestion(faults ...registry.FieldError) error {
	return registry.Invalid.Errorf("invalid_question", "the question is not valid: see errors for each place and what is wrong there").With(faults...)
}
