package strictjson

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/credenceproject/credence/internal/registry"
)

func (s *scanner) malformed(why string) error {
	return registry.Malformed.Errorf("invalid_json", "the body is not JSON: %s: %s", s.place(), why)
}

func (s *scanner) unexpected(wanted string) error {
	switch {
	case len(bytes.TrimLeft(s.data, " \t\r\n")) == 0:
		return s.malformed("the body is empty")
	case s.pos >= len(s.data):
		return s.malformed("the body ends where " + wanted + " should be")
	default:
		return s.malformed("expected " + wanted)
	}
}

func (s *scanner) notUTF8() error {
	return registry.Malformed.Errorf("invalid_utf8", "the body is not UTF-8: %s", s.place())
}

func (s *scanner) trailing() error {
	return registry.Malformed.Errorf("trailing_data", "the body goes on after its JSON value: %s", s.place())
}

func (s *scanner) tooDeep() error {
	return s.at(registry.Malformed, "too_deep", fmt.Sprintf("is nested more than %d deep", MaxDepth))
}

func (s *scanner) duplicate() error {
	return s.at(registry.Malformed, "duplicate_key", "stands in its object twice")
}

func (s *scanner) outOfRange() error {
	return s.at(registry.Invalid, "number_out_of_range",
		fmt.Sprintf("is too large, too long, or has an exponent beyond %d", MaxExponent))
}

func (s *scanner) invalidString(why string) error {
	return s.at(registry.Invalid, "invalid_string", why)
}

// at returns an error about the value that is being read.
func (s *scanner) at(kind registry.Kind, code, why string) error {
	return kind.Errorf(code, "%s: a value %s", s.place(), why).
		With(registry.FieldError{Pointer: s.pointer(), Code: code, Detail: why})
}

// place is where the scanner stands, for people: columns count characters.
func (s *scanner) place() string {
	read := s.data[:min(s.pos, len(s.data))]
	line := 1 + bytes.Count(read, []byte("\n"))
	column := 1 + utf8.RuneCount(read[1+bytes.LastIndexByte(read, '\n'):])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// maxPointer bounds a pointer: a key may be as long as the body.
const maxPointer = 512

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the JSON Pointer (RFC 6901) of the value that is being read,
// or of the innermost container around it whose pointer is not too long.
func (s *scanner) pointer() string {
	var p strings.Builder
	for _, f := range s.open[:s.depth] {
		token := strconv.Itoa(f.index)
		if f.object && f.key == nil {
			break
		}
		if f.object {
			token = pointerEscape.Replace(string(f.key))
		}
		if p.Len()+1+len(token) > maxPointer {
			break
		}
		p.WriteByte('/')
		p.WriteString(token)
	}
	return p.String()
}
