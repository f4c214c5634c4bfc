package gate

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	maxText    = 64 << 10 // bytes of a file
	maxNesting = 32       // of brackets
)

// checkText is what is asked of a file before anybody parses it.
func checkText(file, text string) []Fault {
	fault := func(line int, rule, message string) []Fault {
		return []Fault{{File: file, Line: line, Rule: rule, Message: message}}
	}
	if len(text) > maxText {
		return fault(0, "text_too_large", "The file is larger than 64 KiB. Rules as data (`rules`) and tables of the registry say more in less; Rego is for what they cannot say.")
	}
	for i, line := range strings.Split(text, "\n") {
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return fault(i+1, "text_invalid", "The line is not valid UTF-8, or has a NUL character. Save the file as UTF-8 text.")
		}
		if strings.ContainsAny(line, hiding) {
			return fault(i+1, "text_invalid", `The line has characters that change the direction of text, so that readers see something else than OPA. Remove them, or write them as \u escapes within a string.`)
		}
	}
	if line, ok := nesting(text); !ok {
		return fault(line, "nesting_too_deep", "Brackets are nested more than 32 deep. Name the inner parts in rules of their own.")
	}
	return nil
}

// hiding are the controls of the bidirectional algorithm (UAX #9).
const hiding = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

// nesting reports whether brackets outside of strings and comments are nested at
// most maxNesting deep, or else the line where they are not. The parser recurses,
// and tries some brackets several ways.
func nesting(text string) (line int, ok bool) {
	line = 1
	for depth, i := 0, 0; i < len(text); i++ {
		switch text[i] {
		case '\n':
			line++
		case '#', '"', '`':
			end := skip(text[i:])
			line += strings.Count(text[i:i+end], "\n")
			i += end - 1
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return line, false
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return line, true
}

// skip returns how long the comment or string is with which s begins. A string in
// double quotes ends with its line.
func skip(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[0] == '`' && s[i] == '`', s[0] == '"' && s[i] == '"':
			return i + 1
		case s[0] == '"' && s[i] == '\\':
			i++
		case s[0] != '`' && s[i] == '\n':
			return i
		}
	}
	return len(s)
}

// parse returns the module in text, or what is wrong with it.
func (c checker) parse(file, text string) (m *ast.Module, faults []Fault) {
	if faults := checkText(file, text); len(faults) > 0 && !c.open {
		return nil, faults
	}
	faults = contain(file, func() []Fault {
		var err error
		m, err = ast.ParseModuleWithOpts(file, text, ast.ParserOptions{Capabilities: c.capabilities(), RegoVersion: ast.RegoV1})
		if err != nil {
			return astFaults(file, "syntax", err)
		}
		if m == nil {
			return astFaults(file, "syntax", errors.New("empty module"))
		}
		return annotations(m)
	})
	return m, faults
}

// annotations refuses METADATA blocks: an OPA that loads the bundle reads them as
// YAML and refuses the whole bundle where one is malformed or asks for a schema.
func annotations(m *ast.Module) (faults []Fault) {
	for _, comment := range m.Comments {
		if bytes.HasPrefix(bytes.TrimSpace(comment.Text), []byte("METADATA")) {
			faults = append(faults, at(comment.Location, "annotation", "METADATA blocks are not read in layers. Write a plain comment, and what people should know of the layer into `meta`."))
		}
	}
	return faults
}
