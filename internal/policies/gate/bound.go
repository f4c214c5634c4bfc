package gate

import (
	"math"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// bound is the most that a value can be, for any request. Sizes are float64, which
// saturate at infinity.
type bound struct {
	items float64 // elements of the collection; 0 for a scalar
	bytes float64 // of all of it, about as JSON; a number's exponent counts as that many digits
	elem  *bound  // the most that an element, or a key, can be; nil for a scalar
	types float64 // how much OPA has to look at to compare its type: twice what is within, at every depth
}

func scalar(bytes float64) bound { return bound{bytes: bytes, types: 1} }

// collection bounds one whose elements have one type.
func collection(items float64, elem bound) bound {
	return bound{items: items, bytes: items*(elem.bytes+2) + 2, elem: &elem, types: 1 + 2*elem.types}
}

// untyped is b of which OPA's compiler knows no type.
func (b bound) untyped() bound {
	b.types = 1
	if b.elem != nil {
		elem := b.elem.untyped()
		b.elem = &elem
	}
	return b
}

func (b bound) element() bound {
	if b.elem == nil {
		return bound{}
	}
	return *b.elem
}

// deep is the most that anything within b can be, at any depth.
func (b bound) deep() bound {
	if b.elem == nil {
		return b
	}
	inner := b.elem.deep()
	return bound{items: max(b.items, inner.items), bytes: max(b.bytes, inner.bytes), elem: &inner, types: b.types}
}

// join bounds a value that is one of two.
func join(a, b bound) bound {
	return bound{items: max(a.items, b.items), bytes: max(a.bytes, b.bytes), elem: joinElements(a, b, join), types: a.types + b.types}
}

// together bounds a collection with the elements of two.
func together(a, b bound) bound {
	return bound{items: a.items + b.items, bytes: a.bytes + b.bytes, elem: joinElements(a, b, join), types: a.types + b.types}
}

// merge bounds an object with the keys of two, at every depth.
func merge(a, b bound) bound {
	return bound{items: a.items + b.items, bytes: a.bytes + b.bytes, elem: joinElements(a, b, merge), types: a.types + b.types}
}

func joinElements(a, b bound, f func(a, b bound) bound) *bound {
	switch {
	case a.elem == nil:
		return b.elem
	case b.elem == nil:
		return a.elem
	default:
		elem := f(*a.elem, *b.elem)
		return &elem
	}
}

// key is the same for equal bounds only.
func (b bound) key(s *strings.Builder) {
	for p := &b; p != nil; p = p.elem {
		s.WriteString(strconv.FormatFloat(p.items, 'g', -1, 64))
		s.WriteByte('/')
		s.WriteString(strconv.FormatFloat(p.bytes, 'g', -1, 64))
		s.WriteByte(' ')
	}
}

// numberBytes is what a number counts for: computing with 1e300 takes as many
// digits as the exponent says.
func numberBytes(n ast.Number) float64 {
	mantissa, exponent, found := strings.Cut(strings.ToLower(string(n)), "e")
	if !found {
		return float64(len(n))
	}
	e, err := strconv.ParseFloat(exponent, 64)
	if err != nil {
		return math.Inf(1)
	}
	return float64(len(mantissa)) + math.Abs(e)
}
