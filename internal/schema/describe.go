package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// code is the stable code of a keyword's failure: the keyword, but contains is
// how an author wrote the library's minContains of one.
func code(s *jsonschema.Schema, keyword string) string {
	if keyword == "minContains" && s.MinContains == 1 {
		return "contains"
	}
	return keyword
}

// describe says in words what the keyword of s asks for. Message is what the
// library says, for the keywords that are rare.
func describe(s *jsonschema.Schema, keyword, message string) string {
	switch keyword {
	case "type":
		return "must be of type " + strings.Join(s.Types, " or ")
	case "enum":
		return "must be one of " + enumerate(s.Enum)
	case "const":
		return "must be " + enumerate(s.Constant)
	case "pattern":
		return "must match " + s.Pattern.String()
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", s.MaxLength)
	case "minItems":
		return fmt.Sprintf("must have at least %d items", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must have at most %d items", s.MaxItems)
	case "minProperties":
		return fmt.Sprintf("must have at least %d fields", s.MinProperties)
	case "maxProperties":
		return fmt.Sprintf("must have at most %d fields", s.MaxProperties)
	case "minimum":
		return "must be at least " + decimal(s.Minimum)
	case "maximum":
		return "must be at most " + decimal(s.Maximum)
	case "exclusiveMinimum":
		return "must be more than " + decimal(s.ExclusiveMinimum)
	case "exclusiveMaximum":
		return "must be less than " + decimal(s.ExclusiveMaximum)
	case "multipleOf":
		return "must be a multiple of " + decimal(s.MultipleOf)
	case "uniqueItems":
		return "must not have an item twice: " + message
	case "minContains":
		return fmt.Sprintf("must have at least %d items of a kind that its schema describes", s.MinContains)
	case "maxContains":
		return fmt.Sprintf("must have at most %d items of a kind that its schema describes", s.MaxContains)
	case "anyOf":
		return "must match one of the alternatives of its schema at least"
	case "oneOf":
		return "must match exactly one of the alternatives of its schema"
	case "not":
		if s.Not != nil && s.Not.Pattern != nil {
			return "must not match " + s.Not.Pattern.String()
		}
		return "must not match what its schema excludes"
	default:
		return message
	}
}

// enumerate writes values as JSON, separated by commas.
func enumerate(values []any) string {
	texts := make([]string, 0, len(values))
	length := 0
	for _, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			continue // decode made the values, so none is of another kind
		}
		texts = append(texts, string(text))
		if length += len(text); length > maxDetail {
			break
		}
	}
	return strings.Join(texts, ", ")
}

func decimal(r *big.Rat) string {
	if r.IsInt() && r.Num().BitLen() <= 63 {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return fmt.Sprint(f)
}

// asNumber returns a number as it was written.
func asNumber(value any) (string, bool) {
	n, ok := value.(json.Number)
	return string(n), ok
}

// number returns the exact value of a number that strictjson accepted.
func number(value any) (*big.Rat, bool) {
	text, ok := asNumber(value)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}
