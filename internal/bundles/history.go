package bundles

import "slices"

// history is the states of one bundle that were made last. Its bundles share the
// files that are equal in them, so that it costs what changed, not what there is. It
// is not safe for concurrent use.
type history struct {
	keep    int
	bundles []*Bundle // the newest last
}

// latest is the bundle that was made last, or nil.
func (h *history) latest() *Bundle {
	if len(h.bundles) == 0 {
		return nil
	}
	return h.bundles[len(h.bundles)-1]
}

// add adds a bundle, and forgets the oldest when there are too many.
func (h *history) add(b *Bundle) {
	h.bundles = append(h.bundles, b)
	if n := len(h.bundles) - h.keep; n > 0 {
		h.bundles = slices.Delete(h.bundles, 0, n) // which clears what it leaves free
	}
}

// find returns the bundle of that digest.
func (h *history) find(d Digest) (*Bundle, bool) {
	i := slices.IndexFunc(h.bundles, func(b *Bundle) bool { return b.Digest == d })
	if i < 0 {
		return nil, false
	}
	return h.bundles[i], true
}
