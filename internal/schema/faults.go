package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	maxFaults  = 100 // that one error reports
	maxPointer = 512 // bytes; a key may be as long as the document
	maxDetail  = 300 // bytes
)

// faults collects what is wrong with a document.
type faults []registry.FieldError

func (f *faults) add(pointer, code, detail string, args ...any) {
	*f = append(*f, registry.FieldError{
		Pointer: shortPointer(pointer),
		Code:    code,
		Detail:  short(fmt.Sprintf(detail, args...)),
	})
}

// addBelow adds the faults of a part of the document that stands at pointer.
func (f *faults) addBelow(pointer string, part []registry.FieldError) {
	for _, fault := range part {
		f.add(pointer+fault.Pointer, fault.Code, "%s", fault.Detail)
	}
}

// addNew adds those of more that are about places without a fault so far.
func (f *faults) addNew(more faults) {
	known := make(map[string]bool, len(*f))
	for _, fault := range *f {
		known[fault.Pointer] = true
	}
	for _, fault := range more {
		if !known[fault.Pointer] {
			*f = append(*f, fault)
		}
	}
}

// sorted returns the first maxFaults of the faults, ordered by pointer, each once.
func (f faults) sorted() []registry.FieldError {
	all := slices.Clone(f)
	slices.SortFunc(all, func(a, b registry.FieldError) int {
		return cmp.Or(
			cmp.Compare(a.Pointer, b.Pointer),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	all = slices.Compact(all)
	return slices.Clone(all[:min(len(all), maxFaults)])
}

// invalid makes the error of a document, called what, that has faults.
func invalid(code, what string, f faults) *registry.Error {
	return registry.Invalid.Errorf(code, "the %s is not valid: see errors for each place and what is wrong there", what).
		With(f.sorted()...)
}

// shortPointer cuts a pointer that is too long to that of the innermost
// container whose pointer is not.
func shortPointer(pointer string) string {
	if len(pointer) <= maxPointer {
		return pointer
	}
	return pointer[:strings.LastIndexByte(pointer[:maxPointer+1], '/')]
}

// short cuts text for people, between characters.
func short(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	cut := maxDetail
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

var tokenEscape = strings.NewReplacer("~", "~0", "/", "~1")

// escapeToken makes a key a token of a JSON Pointer (RFC 6901, section 3).
func escapeToken(key string) string { return tokenEscape.Replace(key) }

var tokenUnescape = strings.NewReplacer("~1", "/", "~0", "~")

func unescapeToken(token string) string { return tokenUnescape.Replace(token) }
