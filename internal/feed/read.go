package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/credenceproject/credence/internal/registry"
)

// maxLine is how long a line may be: the platform's modules fit, and the largest
// layer.
const maxLine = 16 << 20

// reader reads lines. Its errors are ErrBroken, or Unavailable where the connection
// broke.
type reader struct {
	lines *bufio.Reader
	long  []byte // of a line that did not fit
	count int    // lines that were objects
}

func newReader(r io.Reader) *reader { return &reader{lines: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next line, which is good until the next call.
func (r *reader) next() (anyLine, error) {
	text, err := r.text()
	if err != nil {
		return anyLine{}, err
	}
	var l anyLine
	if err := strictly(text, &l); err != nil {
		return anyLine{}, err
	}
	fields := 6
	switch l.Kind {
	case beginLine:
		fields = 7
	case endLine:
		fields = 4
	default:
		r.count++
	}
	if n := fieldsOf(text); n != fields {
		return anyLine{}, broken("a line of the kind %q has %d fields, and not %d", l.Kind, n, fields)
	}
	return l, nil
}

// text returns the next line with its end.
func (r *reader) text() ([]byte, error) {
	text, err := r.lines.ReadSlice('\n')
	if err == nil {
		return text, nil
	}
	r.long = append(r.long[:0], text...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.long) > maxLine {
			return nil, broken("a line is longer than %d bytes", maxLine)
		}
		text, err = r.lines.ReadSlice('\n')
		r.long = append(r.long, text...)
	}
	if err != nil {
		return nil, cutOff(err)
	}
	return r.long, nil
}

// end holds the last line against what came before: it must be of the epoch and
// not before the revision, and nothing may follow.
func (r *reader) end(l anyLine, epoch string, notBefore int64) (registry.Head, error) {
	if l.Epoch != epoch || l.Revision < notBefore {
		return registry.Head{}, broken("it ends at %s.%d, after %s.%d", l.Epoch, l.Revision, epoch, notBefore)
	}
	if l.Count != r.count {
		return registry.Head{}, broken("%d lines came, which are not those that were sent", r.count)
	}
	if _, err := r.lines.ReadByte(); err == nil {
		return registry.Head{}, broken("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return registry.Head{}, cutOff(err)
	}
	return registry.Head{Epoch: l.Epoch, Revision: l.Revision}, nil
}

// cutOff is the error of an answer that stops: where its sender says that this is
// all it is broken, else the connection is.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return broken("it has no end")
	}
	return registry.Unavailable.Wrap(err, "connection_lost", "the feed's answer was cut off")
}

// strictly decodes one value, whose objects have only the fields that into has.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.Join(broken("a line cannot be read"), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return broken("a line has more than one value")
	}
	return nil
}

// fieldsOf counts the fields of text, a valid JSON value: 0 unless it is an object.
func fieldsOf(text []byte) (n int) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}
