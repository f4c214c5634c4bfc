// Package bundles makes OPA bundles of the registry: one for each environment,
// with the platform's Rego, the environment's agents and all resources, as far
// as a decision needs them (invariant B7).
//
// A bundle's ETag names exactly one state and one sequence of bytes (invariant
// B1), so replicas agree on both without talking to each other. The bytes are a
// tar archive in concatenated gzip members (RFC 1952, section 2.2), one for each
// file: a change makes one member anew and reuses the rest.
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

// Bundle is one state of a scope. It is safe for concurrent use.
type Bundle struct {
	Tag  Tag
	Size int64 // of the .tar.gz, in bytes

	members []member // shared with the bundles before and after it
}

// Reader returns a reader of the .tar.gz, from its start. Its members are not
// joined in memory: a large scope's bundle would be copied for each change.
func (b *Bundle) Reader() io.Reader {
	readers := make([]io.Reader, len(b.members))
	for i, m := range b.members {
		readers[i] = bytes.NewReader(m)
	}
	return io.MultiReader(readers...)
}

// Tag is a bundle's ETag, taken apart.
type Tag struct {
	Scope    string
	Epoch    string
	Revision int64
	Hash     string
}

// String is the tag as the wire has it, without quotes.
func (t Tag) String() string {
	return t.Scope + "." + t.Epoch + "." + strconv.FormatInt(t.Revision, 10) + "." + t.Hash
}

// ParseTag takes a tag apart; ok is false for one that we never made.
func ParseTag(s string) (t Tag, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 || !registry.ValidName(parts[0]) || !isHash8(parts[3]) {
		return Tag{}, false
	}
	revision, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || revision < 0 {
		return Tag{}, false
	}
	t = Tag{Scope: parts[0], Epoch: parts[1], Revision: revision, Hash: parts[3]}
	return t, t.String() == s // a number can be written in more ways than ours
}

// encoding names how bundles are written. It changes whenever the same state
// would give other bytes.
const encoding = 1

// supportedLayouts are the data layouts that this binary can build: that of its
// own policy and the one before it, so that it can replace a running binary
// before its policy is the active one (invariant B2).
var supportedLayouts = []int64{1, 2}

// hash8 is the part of the tag that covers everything but the registry's state:
// the modules, the data's layout, and what compresses.
func hash8(p registry.PlatformPolicy) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s", p.Hash, p.Layout, encoding, runtime.Version()))
	return hex.EncodeToString(sum[:4])
}

func isHash8(s string) bool { return len(s) == 8 && strings.Trim(s, "0123456789abcdef") == "" }
