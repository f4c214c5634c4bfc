package bundles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// canonical encodes v as JSON in the form over which OPA takes the hash of a
// document that is signed: no blanks, the members of each object sorted by name,
// and in strings nothing escaped for HTML. Files are written in this form, so that
// the hash of a file's bytes is the one that goes into its signature.
func canonical(v any) ([]byte, error) {
	src, err := encode(v)
	if err != nil {
		return nil, err
	}
	s := sorter{src: src, out: make([]byte, 0, len(src))}
	if err := s.value(); err != nil {
		return nil, err
	}
	return s.out, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sorter copies JSON as encoding/json writes it, with the members of each object
// sorted.
type sorter struct {
	src, out []byte
	at       int    // in src
	scratch  []byte // for arrange
}

// value copies the value at which the sorter stands.
func (s *sorter) value() error {
	switch s.src[s.at] {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		_, err := s.text()
		return err
	default: // a number, true, false or null
		n := bytes.IndexAny(s.src[s.at:], ",]}")
		if n < 0 {
			n = len(s.src) - s.at
		}
		s.copy(n)
	}
	return nil
}

// copy copies n bytes.
func (s *sorter) copy(n int) {
	s.out = append(s.out, s.src[s.at:s.at+n]...)
	s.at += n
}

// text copies a string and returns what it says. A string can be written in more
// ways than one: encoding/json itself writes bytes that are no UTF-8 in another way
// than the character that they are read as.
func (s *sorter) text() ([]byte, error) {
	end, escaped := s.at+1, false
	for ; s.src[end] != '"'; end++ {
		if s.src[end] == '\\' {
			escaped = true
			end++
		}
	}
	raw := s.src[s.at : end+1]
	if !escaped {
		s.copy(len(raw))
		return raw[1 : len(raw)-1], nil
	}
	var said string
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("read a string: %w", err)
	}
	again, err := encode(said)
	s.out, s.at = append(s.out, again...), end+1
	return []byte(said), err
}

func (s *sorter) array() error {
	s.copy(1)
	for s.src[s.at] != ']' {
		if s.src[s.at] == ',' {
			s.copy(1)
		}
		if err := s.value(); err != nil {
			return err
		}
	}
	s.copy(1)
	return nil
}

// property is a member of an object: its name, by what it says, and where in the copy
// it lies.
type property struct {
	name       []byte
	start, end int
}

func (s *sorter) object() error {
	s.copy(1)
	first := len(s.out)
	var properties []property
	for s.src[s.at] != '}' {
		if s.src[s.at] == ',' {
			s.copy(1)
		}
		start := len(s.out)
		name, err := s.text()
		if err != nil {
			return err
		}
		s.copy(1) // the colon
		if err := s.value(); err != nil {
			return err
		}
		properties = append(properties, property{name, start, len(s.out)})
	}
	s.arrange(first, properties)
	s.copy(1)
	return nil
}

// arrange sorts the properties, which are what was copied from start on.
func (s *sorter) arrange(start int, properties []property) {
	byName := func(a, b property) int { return bytes.Compare(a.name, b.name) }
	if slices.IsSortedFunc(properties, byName) {
		return
	}
	slices.SortFunc(properties, byName)
	s.scratch = append(s.scratch[:0], s.out[start:]...)
	s.out = s.out[:start]
	for i, p := range properties {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, s.scratch[p.start-start:p.end-start]...)
	}
}
