// Package bundles makes OPA bundles of the registry: one for each environment,
// with the platform's Rego, the environment's agents and all resources, as far
// as a decision needs them (invariant B7); and the same in parts, so that a
// change of a large scope moves a part of it alone.
//
// A bundle's ETag names exactly one state and one sequence of bytes (invariant
// B1), so replicas agree on both without talking to each other. The bytes are a
// tar archive in concatenated gzip members (RFC 1952, section 2.2), one for each
// file: a change makes one member anew and reuses the rest, in the whole and in
// the parts.
package bundles

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// Bundle is one state of a scope, or of a part of it. It is safe for concurrent
// use.
type Bundle struct {
	Tag    Tag
	Size   int64  // of the .tar.gz, in bytes
	Digest Digest // of the .tar.gz

	members []*member // shared with the bundles before and after it, and beside it
}

// newBundle is the bundle of these files, in this order.
func newBundle(t Tag, members []*member) *Bundle {
	b, h := &Bundle{Tag: t, members: members}, sha256.New()
	for _, m := range members {
		b.Size += int64(len(m.packed))
		h.Write(m.packed)
	}
	h.Sum(b.Digest[:0])
	return b
}

// Reader returns a reader of the .tar.gz, from its start. Its members are not
// joined in memory: a large scope's bundle would be copied for each change.
func (b *Bundle) Reader() io.Reader {
	readers := make([]io.Reader, len(b.members))
	for i, m := range b.members {
		readers[i] = bytes.NewReader(m.packed)
	}
	return io.MultiReader(readers...)
}

// WriteTo writes the .tar.gz to w, file by file. It implements io.WriterTo.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for _, m := range b.members {
		n, err := w.Write(m.packed)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Digest is the SHA-256 of a bundle's bytes.
type Digest [sha256.Size]byte

// String is the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Tag is a bundle's ETag, taken apart.
type Tag struct {
	Scope    string
	Part     string // "" of the whole
	Epoch    string
	Revision int64
	Hash     string
}

// Name is the name of the bundle that the tag is of.
func (t Tag) Name() registry.ScopePart { return registry.ScopePart{Scope: t.Scope, Part: t.Part} }

// String is the tag as the wire has it, without quotes.
func (t Tag) String() string {
	return t.Name().String() + "." + t.Epoch + "." + strconv.FormatInt(t.Revision, 10) + "." + t.Hash
}

// ParseTag takes a tag apart; ok is false for one that we never made.
func ParseTag(s string) (t Tag, ok bool) {
	fields := strings.Split(s, ".")
	if len(fields) != 4 || !isHash8(fields[3]) {
		return Tag{}, false
	}
	scope, part, _ := strings.Cut(fields[0], "/")
	revision, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || revision < 0 || !registry.ValidName(scope) || kindOf(part) == nil {
		return Tag{}, false
	}
	t = Tag{Scope: scope, Part: part, Epoch: fields[1], Revision: revision, Hash: fields[3]}
	return t, t.String() == s // a number can be written in more ways than ours, and a scope with a slash
}

// encoding names how bundles are written. It changes whenever the same state
// would give other bytes.
const encoding = 2

// supportedLayouts are the data layouts that this binary can build: that of its
// own policy and the one before it, so that it can replace a running binary
// before its policy is the active one (invariant B2).
var supportedLayouts = []int64{2, 3}

// firstLayoutInParts is the first data layout that has layers, and whose policy
// reads a scope that comes in parts.
const firstLayoutInParts = 3

// hash8 is the part of the tag that covers everything but the registry's state:
// the modules that are in the bundle, the data's layout, the key that signs, and
// what compresses.
func hash8(modules []string, layout int64, keyID string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %q %q", modules, layout, encoding, runtime.Version(), keyID))
	return hex.EncodeToString(sum[:4])
}

func isHash8(s string) bool { return len(s) == 8 && strings.Trim(s, "0123456789abcdef") == "" }
