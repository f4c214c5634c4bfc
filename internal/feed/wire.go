// Package feed is the change feed: a scope of the registry as policy may see it,
// line by line, and what changes in it from then on.
//
// The wire is newline-delimited JSON, described at GET /snapshot and GET /changes
// of openapi.yaml. A scope is an environment: its record, its agents and their
// layers, and what every environment's policy sees: the resources, the layers of
// the other tiers, the platform's policy. A line is an object as it is from a
// revision on, or that it is gone. Nothing is on the wire that a decision does not
// need (invariant B7).
//
// Service answers, Client follows. A follower ends equal to a fresh snapshot of
// the same revision, and what it cannot follow without a gap it begins anew
// (invariant B5): what is read is applied whole or not at all.
package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// MediaType is the feed's, both ways.
const MediaType = "application/x-ndjson"

// MaxWait is how long an answer is held, at most.
const MaxWait = 55 * time.Second

// ErrBroken is in the chain of the error about an answer that is not one: cut off,
// out of order, or with what we do not know in it.
var ErrBroken = errors.New("the feed's answer is broken")

// The kinds of lines beside those of registry.ChangeKind.
const (
	beginLine registry.ChangeKind = "begin"
	endLine   registry.ChangeKind = "end"
)

// begin is the first line of a snapshot. It says when the scope's bundle and each
// part of it were last touched; nobody can find that out from the objects.
type begin struct {
	Kind     registry.ChangeKind `json:"kind"`
	Epoch    string              `json:"epoch"`
	Revision int64               `json:"revision"`
	Scope    string              `json:"scope"`
	AsOf     time.Time           `json:"as_of"`   // when the scope was last touched
	Touched  int64               `json:"touched"` // at which revision that was
	Parts    map[string]touch    `json:"parts"`
}

type touch struct {
	Revision int64     `json:"revision"`
	AsOf     time.Time `json:"as_of"`
}

// end is the last line of an answer: everything up to the revision was sent.
type end struct {
	Kind     registry.ChangeKind `json:"kind"`
	Epoch    string              `json:"epoch"`
	Revision int64               `json:"revision"`
	Count    int                 `json:"count"` // lines before this one, without begin
}

// line is an object from a revision on. After is one of the images, or null when
// the object is gone, and of a heartbeat.
type line[After any] struct {
	Epoch    string              `json:"epoch"`
	Revision int64               `json:"revision"`
	At       time.Time           `json:"at"`
	Kind     registry.ChangeKind `json:"kind"`
	ID       string              `json:"id"`
	After    After               `json:"after"`
}

// anyLine is a line of which only the kind is known. Whatever other line it is, its
// fields are among these.
type anyLine struct {
	line[json.RawMessage]
	Scope   string           `json:"scope"`
	AsOf    time.Time        `json:"as_of"`
	Touched int64            `json:"touched"`
	Parts   map[string]touch `json:"parts"`
	Count   int              `json:"count"`
}

// FormatHead writes a head as since has it: {epoch}.{revision}.
func FormatHead(h registry.Head) string { return h.Epoch + "." + strconv.FormatInt(h.Revision, 10) }

// ParseHead reads what FormatHead wrote. Its error is Invalid.
func ParseHead(s string) (registry.Head, error) {
	epoch, digits, _ := strings.Cut(s, ".")
	revision, err := strconv.ParseInt(digits, 10, 64)
	h := registry.Head{Epoch: epoch, Revision: revision}
	if err != nil || revision < 0 || !epochRE.MatchString(epoch) || FormatHead(h) != s { // a number can be written in more ways than ours
		return registry.Head{}, registry.Invalid.Errorf("invalid_parameter", "since must be {epoch}.{revision}, as the end of the answer before says")
	}
	return h, nil
}

var epochRE = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
}
