// Package strictjson reads JSON that strangers send. It accepts what RFC 8259
// calls interoperable and RFC 7493 (I-JSON) asks for, so that whoever reads the
// document after it sees the same document: one value and nothing after it,
// UTF-8, no key twice in an object, no lone surrogates, no U+0000, numbers that
// fit a double, bounded nesting and bounded size.
//
// What it accepts, encoding/json accepts too, with the same value; what
// encoding/json refuses, it refuses.
package strictjson

import (
	"io"
	"mime"
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// MaxBytes is how many bytes a request body may have.
	MaxBytes = 1 << 20
	// MaxDepth is how many arrays and objects may be open at once.
	MaxDepth = 64
	// MaxExponent is the largest absolute exponent of a number. Libraries that
	// expand 1e9999999 run out of memory or panic.
	MaxExponent = 308
	// MaxNumber is how many bytes a number may have: more than any double needs.
	MaxNumber = 1024
)

// Media types for ContentType.
const (
	JSON       = "application/json"
	MergePatch = "application/merge-patch+json" // RFC 7396
)

// Read reads r to its end and checks what it read as Check does. It reads at
// most limit bytes and one more, to see that there are more; then it returns
// TooLarge (body_too_large). It returns Malformed (unreadable_body) when r fails.
func Read(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, registry.Malformed.Wrap(err, "unreadable_body", "the body could not be read to its end")
	}
	if int64(len(data)) > limit {
		return nil, registry.TooLarge.Errorf("body_too_large", "the body is larger than %d bytes", limit)
	}
	if err := Check(data); err != nil {
		return nil, err
	}
	return data, nil
}

// Check reports the first thing wrong with data as a JSON document, in time
// linear in its length and without recursion. It does not bound the length.
//
// It returns Malformed with the code invalid_json, invalid_utf8, trailing_data,
// too_deep or duplicate_key, and Invalid with the code number_out_of_range or
// invalid_string. The last four, about JSON that has a place to point at, carry
// its pointer. Check is safe for concurrent use.
func Check(data []byte) error {
	s := scanner{data: data}
	return s.document()
}

// ContentType checks the Content-Type header of a request: application/json or
// one of also, with no parameter other than charset=utf-8 (RFC 8259 defines
// none; clients send that one all the same). Otherwise it returns
// UnsupportedMedia (unsupported_media_type).
func ContentType(header string, also ...string) error {
	accepted := append([]string{JSON}, also...)
	mediaType, params, err := mime.ParseMediaType(header)
	if err == nil && slices.Contains(accepted, mediaType) && onlyUTF8(params) {
		return nil
	}
	return &registry.Error{
		Kind:    registry.UnsupportedMedia,
		Code:    "unsupported_media_type",
		Message: "the content type must be " + strings.Join(accepted, " or ") + " in UTF-8",
		Err:     err,
	}
}

func onlyUTF8(params map[string]string) bool {
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
