package schema

import "regexp/syntax"

// measurePattern parses a pattern as RE2 does and returns its patternSize.
func measurePattern(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return patternSize(re), nil
}

// patternSize estimates from above, before it is compiled, how large a program
// a pattern becomes: x{1000} stands for a thousand x, and \pL is a table of 1,300
// characters.
func patternSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	if re.Op == syntax.OpCharClass {
		size = 1 + len(re.Rune)/32
	}
	for _, sub := range re.Sub {
		size += patternSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= 1 + max(re.Min, re.Max)
	}
	return min(size, maxPatternSize+1)
}
