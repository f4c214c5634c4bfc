package strictjson

// scanner walks a document once. It keeps the containers that are open on a
// stack of its own, so a document cannot make it recurse.
type scanner struct {
	data  []byte
	pos   int
	open  [MaxDepth]frame
	depth int
	keys  [][]byte // of all open objects, the outermost object's first
}

// frame is an array or object that is open.
type frame struct {
	object   bool
	index    int    // of the element being read
	key      []byte // of the member being read, decoded; nil before it is known
	firstKey int    // where the object's keys begin in scanner.keys
	seen     map[string]struct{}
}

// document reads one value and makes sure that nothing follows it.
func (s *scanner) document() error {
	for {
		opened, err := s.value()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		more, err := s.next()
		if err != nil || !more {
			return err
		}
	}
}

// value reads a scalar or an empty container, or opens a container and leaves
// the scanner before its first value.
func (s *scanner) value() (opened bool, err error) {
	s.space()
	switch c := s.peek(); {
	case c == '"':
		_, _, err = s.text()
	case c == '-' || '0' <= c && c <= '9':
		err = s.number()
	case c == 't':
		err = s.literal("true")
	case c == 'f':
		err = s.literal("false")
	case c == 'n':
		err = s.literal("null")
	case c == '{' || c == '[':
		return s.container(c == '{')
	default:
		err = s.unexpected("a value")
	}
	return false, err
}

func (s *scanner) container(object bool) (opened bool, err error) {
	if s.depth == MaxDepth {
		return false, s.tooDeep()
	}
	s.pos++
	s.open[s.depth] = frame{object: object, firstKey: len(s.keys)}
	s.depth++
	s.space()
	if s.peek() == s.closer() {
		s.close()
		return false, nil
	}
	if object {
		return true, s.key()
	}
	return true, nil
}

// next goes from the end of a value to where the next one begins, and reports
// whether there is one.
func (s *scanner) next() (more bool, err error) {
	for s.depth > 0 {
		s.space()
		f := &s.open[s.depth-1]
		switch c := s.peek(); {
		case c == s.closer():
			s.close()
		case c == ',' && f.object:
			s.pos++
			return true, s.key()
		case c == ',':
			s.pos++
			f.index++
			return true, nil
		case f.object:
			return false, s.unexpected("a comma or }")
		default:
			return false, s.unexpected("a comma or ]")
		}
	}
	s.space()
	if s.pos < len(s.data) {
		return false, s.trailing()
	}
	return false, nil
}

// key reads a member's key and the colon after it.
func (s *scanner) key() error {
	s.open[s.depth-1].key = nil // what is wrong from here on is wrong with the object
	s.space()
	if s.peek() != '"' {
		return s.unexpected("a key in double quotes")
	}
	raw, escaped, err := s.text()
	if err != nil {
		return err
	}
	if escaped {
		raw = unescape(raw)
	}
	if err := s.enter(raw); err != nil {
		return err
	}
	s.space()
	if s.peek() != ':' {
		return s.unexpected("a colon")
	}
	s.pos++
	return nil
}

// manyKeys is from how many keys on an object is worth a map.
const manyKeys = 16

// enter makes key the current one of the innermost object, which must not have
// had it before. Keys are compared decoded: "a" and "\u0061" are one key.
func (s *scanner) enter(key []byte) error {
	f := &s.open[s.depth-1]
	f.key = key
	before := s.keys[f.firstKey:]
	if len(before) < manyKeys {
		for _, k := range before {
			if string(k) == string(key) {
				return s.duplicate()
			}
		}
		s.keys = append(s.keys, key)
		return nil
	}
	if f.seen == nil {
		f.seen = make(map[string]struct{}, 2*manyKeys)
		for _, k := range before {
			f.seen[string(k)] = struct{}{}
		}
	}
	if _, ok := f.seen[string(key)]; ok {
		return s.duplicate()
	}
	f.seen[string(key)] = struct{}{}
	return nil
}

func (s *scanner) closer() byte {
	if s.open[s.depth-1].object {
		return '}'
	}
	return ']'
}

func (s *scanner) close() {
	s.pos++
	s.depth--
	s.keys = s.keys[:s.open[s.depth].firstKey]
	s.open[s.depth] = frame{} // lets go of its map
}

// peek returns the next byte, or 0, which no rule of the grammar accepts, at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}
