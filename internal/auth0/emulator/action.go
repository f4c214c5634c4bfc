package emulator

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// The states of an Action's build.
const (
	statusPending  = "pending"
	statusBuilding = "building"
	statusBuilt    = "built"
	statusFailed   = "failed"
)

// action is an Action: a draft, and the versions that were deployed from it. A
// draft has no effect until it is deployed and the Action is bound to a trigger.
// Values are replaced, never changed, so that a reader may keep one.
type action struct {
	id        string
	draft     draft
	status    string
	versions  []version // oldest first; the last one runs
	createdAt time.Time
	updatedAt time.Time
}

// draft is what can be edited.
type draft struct {
	revision     int // counts the edits
	name         string
	trigger      document // the one supported trigger: id and version
	code         string
	runtime      string
	dependencies []any
	secrets      []secret
}

type secret struct {
	name      string
	value     string
	updatedAt time.Time
}

// version is a deployed draft. Its program is nil when the code did not compile.
type version struct {
	draft
	id        string
	number    int
	status    string // of its build; a version may be deployed before it is built
	program   *goja.Program
	createdAt time.Time
}

// build is how an Action's build goes on: each look takes it one step further,
// so that callers have to poll, as they must with Auth0, and tests need no clock.
func (a *action) build() *action {
	next := *a
	switch a.status {
	case statusPending:
		next.status = statusBuilding
	case statusBuilding:
		next.status = statusBuilt
		if _, err := compileAction(a.draft.code); err != nil {
			next.status = statusFailed
		}
	}
	if v, ok := a.deployed(); ok && v.status != statusBuilt && !a.changed() {
		v.status = next.status
		next.versions = append(slices.Clone(a.versions[:len(a.versions)-1]), v)
	}
	return &next
}

// changed reports whether the draft is not what runs.
func (a *action) changed() bool {
	v, ok := a.deployed()
	return !ok || v.revision != a.draft.revision
}

// deployed returns the version that runs.
func (a *action) deployed() (version, bool) {
	if len(a.versions) == 0 {
		return version{}, false
	}
	return a.versions[len(a.versions)-1], true
}

// deploy adds d, whose build has the given status, as the newest version.
func (a *action) deploy(d draft, status string, now time.Time) (*action, version) {
	next := *a
	program, err := compileAction(d.code)
	if err != nil {
		program = nil
	}
	v := version{draft: d, id: newUUID(), number: len(a.versions) + 1, status: status, program: program, createdAt: now}
	next.versions = append(slices.Clone(a.versions), v)
	return &next, v
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// summary is how an Action appears inside of versions.
func (a *action) summary() document {
	return document{
		"id":                   a.id,
		"name":                 a.draft.name,
		"supported_triggers":   []any{a.draft.trigger},
		"created_at":           timestamp(a.createdAt),
		"updated_at":           timestamp(a.updatedAt),
		"all_changes_deployed": !a.changed(),
	}
}

// show is how an Action appears by itself.
func (a *action) show() document {
	doc := a.summary()
	maps.Copy(doc, document{
		"code":         a.draft.code,
		"dependencies": a.draft.dependencies,
		"runtime":      a.draft.runtime,
		"status":       a.status,
		"secrets":      a.draft.showSecrets(),
	})
	if v, ok := a.deployed(); ok {
		doc["current_version"] = v.current()
		doc["deployed_version"] = v.show(true)
	}
	return doc
}

// bound is how an Action appears inside of a binding.
func (a *action) bound() document {
	doc := a.summary()
	if v, ok := a.deployed(); ok {
		doc["current_version"] = v.current()
		doc["deployed_version"] = v.show(true)
	}
	return doc
}

func (d draft) showSecrets() []any {
	docs := []any{}
	for _, s := range d.secrets {
		docs = append(docs, document{"name": s.name, "updated_at": timestamp(s.updatedAt)})
	}
	return docs
}

// show is how a version appears by itself. Auth0 deploys a moment after it has
// answered the request to deploy, so that answer says deployed false.
func (v version) show(deployed bool) document {
	doc := document{
		"id":                 v.id,
		"number":             v.number,
		"code":               v.code,
		"dependencies":       v.dependencies,
		"runtime":            v.runtime,
		"secrets":            v.showSecrets(),
		"status":             v.status,
		"deployed":           deployed,
		"supported_triggers": []any{v.trigger},
		"created_at":         timestamp(v.createdAt),
		"updated_at":         timestamp(v.createdAt),
	}
	if deployed && v.status == statusBuilt {
		doc["built_at"] = timestamp(v.createdAt)
	}
	return doc
}

// current is the older form of a version, with its status in capitals.
func (v version) current() document {
	doc := document{
		"id":         v.id,
		"number":     v.number,
		"code":       v.code,
		"runtime":    v.runtime,
		"status":     strings.ToUpper(v.status),
		"created_at": timestamp(v.createdAt),
		"updated_at": timestamp(v.createdAt),
	}
	if v.status == statusBuilt {
		doc["build_time"] = timestamp(v.createdAt)
	}
	return doc
}

func noAction() *apiError {
	return apiErrorf(http.StatusNotFound, "", "That action does not exist.")
}
