package strictjson

import "strconv"

// number reads a number (RFC 8259, section 6).
func (s *scanner) number() error {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	exponent, err := s.exponent()
	if err != nil {
		return err
	}
	if exponent > MaxExponent || s.pos-start > MaxNumber || overflows(s.data[start:s.pos], exponent) {
		return s.outOfRange()
	}
	return nil
}

// exponent reads a number's exponent, if it has one, and returns its absolute
// value; one beyond MaxExponent need not be exact.
func (s *scanner) exponent() (int, error) {
	if c := s.peek(); c != 'e' && c != 'E' {
		return 0, nil
	}
	s.pos++
	if c := s.peek(); c == '+' || c == '-' {
		s.pos++
	}
	start := s.pos
	if s.digits() == 0 {
		return 0, s.unexpected("a digit")
	}
	exponent := 0
	for _, c := range s.data[start:s.pos] {
		exponent = min(10*exponent+int(c-'0'), MaxExponent+1)
	}
	return exponent, nil
}

// overflows reports whether the number is too large for a double: 10e308 is,
// although its exponent is within bounds, and so are 310 digits.
func overflows(number []byte, exponent int) bool {
	if exponent+len(number) <= MaxExponent {
		return false // fewer digits than it takes
	}
	_, err := strconv.ParseFloat(string(number), 64)
	return err != nil
}

// digits skips digits and returns how many.
func (s *scanner) digits() int {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos - start
}
