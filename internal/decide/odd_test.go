package decide_test

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/credenceproject/credence/internal/decide"
)

type decideQuery = decide.Query

// odd is a value that a claim should not have, or has in an odd form, and that JSON
// can say.
func odd(d dice, now time.Time) any {
	s := now.Unix() + int64(d.IntN(3)-1)
	switch d.IntN(3) {
	case 0:
		return pick[any](d,
			s, int(s), float64(s), float64(s)+0.5, json.Number(fmt.Sprint(s)), json.Number(fmt.Sprint(s)+".0"), json.Number(fmt.Sprint(s)+"e0"),
			json.Number(fmt.Sprintf("%d.%09d", s, d.IntN(1_000_000_000))), json.Number(fmt.Sprintf("%d.999999999999999999999", s)),
			json.Number(fmt.Sprintf("%de-2", s*100)), fmt.Sprint(s), uint64(s), int32(1), json.Number(fmt.Sprintf("0.%de10", s)),
		)
	case 1:
		return pick[any](d,
			nil, true, false, "", "text", "\x00", "\xff", 0, -1, 1.5, 1e300, -1e300, math.MaxInt64, math.MinInt64, uint64(math.MaxUint64), math.SmallestNonzeroFloat64,
			json.Number("1e400"), json.Number("-1e400"), json.Number("-0"), json.Number("0.0"), json.Number("0e5"), json.Number(""), json.Number("1e-400"),
			json.Number("9223372036"), json.Number("9223372037"), json.Number("-9223372037"), json.Number("9223372036.854775807"), json.Number("9223372036.854775808"),
			json.Number("99999999999999999999999999999999"), json.Number("123456789012345678901234567890.5"), json.Number("1e18"), json.Number("1E+2"),
			float64(1<<53), float32(1.5), uint8(7), json.RawMessage(`17e8`), json.RawMessage(`"agent-0@clients"`),
		)
	default:
		return pick[any](d,
			[]any{}, []any{nil, 1, "skills:invoke"}, []any{"skills:invoke", "data:read", "skills:invoke"}, []any{[]any{"skills:invoke"}, "data:write"},
			map[string]any{}, map[string]any{"skills:invoke": true}, []string{"skills:invoke", "skills:invoke"}, []string{"\xff", "special"}, []string(nil),
			[]json.RawMessage{json.RawMessage(`"special"`)}, [2]string{"data:read", "tools:access"}, []map[string]string{{"a": "b"}}, map[string]string{"a": "b"},
			json.RawMessage(`["data:read"]`), struct{ A int }{1}, named("agent-0@clients"), []named{"special", "data:read"}, &noon,
		)
	}
}

// named is a string of another type.
type named string
