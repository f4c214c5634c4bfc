package schema

import (
	"net/url"
	"strings"
)

// expansion is what a subschema stands for when each $ref is replaced by what
// it refers to. A schema of 30 lines, each referring twice to the next, stands
// for a billion.
type expansion struct {
	state progress
	size  int // subschemas, itself among them
	depth int // of the deepest, itself 1
}

type progress int

const (
	untouched progress = iota
	underway
	done
)

// resolve finds what n's $ref refers to: a subschema of this schema, never
// anything else.
func (s *shape) resolve(n *node) {
	at := n.pointer + "/$ref"
	ref, ok := n.keywords["$ref"].(string)
	if !ok {
		return // the metaschema says so
	}
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		s.faults.add(at, "ref_not_local", "must begin with #: other documents are never loaded")
		return
	}
	fragment, err := url.PathUnescape(fragment)
	if err == nil && (fragment == "" || strings.HasPrefix(fragment, "/")) {
		n.target = s.nodes[fragment]
	} else if err == nil {
		n.target = s.anchors[fragment]
	}
	if n.target == nil {
		s.faults.add(at, "ref_not_found", "must refer to a subschema of this schema")
	}
}

// measure checks the bounds on references, and on the schema when they are
// replaced.
func (s *shape) measure() {
	if len(s.refs) > MaxRefs {
		s.faults.add("", "too_many_refs", "must have at most %d references", MaxRefs)
		s.exhausted = true
		return
	}
	s.expand(s.root)
	if s.root.size > MaxSubschemas {
		s.faults.add("", "too_many_subschemas", "stands for more than %d subschemas when references are replaced", MaxSubschemas)
		s.exhausted = true
	}
	if s.root.depth > maxSchemaDepth {
		s.faults.add("", "too_deep", "must have subschemas at most %d deep when references are replaced", maxSchemaDepth)
		s.exhausted = true
	}
}

// expand measures n once. It visits every subschema once and follows every
// reference once, so its own recursion is bounded by their numbers.
func (s *shape) expand(n *node) {
	n.state, n.size, n.depth = underway, 1, 1
	for _, c := range n.children {
		s.include(n, c)
	}
	if n.target != nil {
		s.include(n, n.target)
	}
	n.state = done
}

// include adds what c stands for to what n stands for, up to just over the
// bound. A c that is underway contains n: expanded it would have no end.
func (s *shape) include(n, c *node) {
	switch c.state {
	case untouched:
		s.expand(c)
	case underway:
		s.faults.add(c.pointer, "ref_recursive", "must not be referred to from within itself")
		s.exhausted = true
	case done:
	}
	n.size = min(n.size+c.size, MaxSubschemas+1)
	n.depth = max(n.depth, c.depth+1)
}
