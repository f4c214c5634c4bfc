package decide

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// second is how many of the units of policy's clock a token's have.
const second = 1_000_000_000

// number is a number of JSON. Nearly all are integers that fit; what others are is
// OPA's to say.
type number struct {
	integer int64
	fits    bool
	text    ast.Number // unless it fits
}

func integer(i int64) number { return number{integer: i, fits: true} }

// numberOf reads a claim that should be a number.
func numberOf(claim any) (n number, ok bool, err error) {
	switch claim := claim.(type) {
	case nil, bool, string, []any, []string, map[string]any:
		return number{}, false, nil
	case int:
		return integer(int64(claim)), true, nil
	case int64:
		return integer(claim), true, nil
	case json.Number:
		if i, ok := shortInteger(string(claim)); ok {
			return integer(i), true, nil
		}
	}
	plain, err := toJSON(claim)
	if err != nil {
		return number{}, false, err
	}
	said, ok := plain.(json.Number)
	if !ok {
		return number{}, false, nil
	}
	if i, ok := shortInteger(string(said)); ok {
		return integer(i), true, nil
	}
	return number{text: ast.Number(said)}, true, nil
}

// shortInteger reads the usual form of an integer, as JSON has it.
func shortInteger(s string) (int64, bool) {
	digits := s
	if digits != "" && digits[0] == '-' {
		digits = digits[1:]
	}
	if digits == "" || len(digits) > 18 || digits[0] == '0' && s != "0" {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	i, err := strconv.ParseInt(s, 10, 64)
	return i, err == nil
}

// seconds compares n seconds with a moment in nanoseconds: it is negative where n is
// less, zero where they are equal and positive where n is more. ok is false where OPA
// cannot tell.
func (n number) seconds(moment int64) (order int, ok bool) {
	const most = math.MaxInt64 / second
	switch {
	case !n.fits:
		product, ok := multiplied(n.text, ast.Number(strconv.Itoa(second)))
		return ast.NumberCompare(product, ast.Number(strconv.FormatInt(moment, 10))), ok
	case n.integer > most:
		return 1, true
	case n.integer < -most:
		return -1, true
	default:
		return cmp.Compare(n.integer*second, moment), true
	}
}

// multiplied multiplies as Rego does, by OPA's own function.
func multiplied(x, y ast.Number) (product ast.Number, ok bool) {
	product = "0"
	err := multiply(topdown.BuiltinContext{}, []*ast.Term{ast.NewTerm(x), ast.NewTerm(y)}, func(t *ast.Term) error {
		product, ok = t.Value.(ast.Number)
		return nil
	})
	return product, ok && err == nil
}

var multiply = topdown.GetBuiltin(ast.Multiply.Name)
