package emulator

import (
	"net/http"
	"slices"
)

// deployAction makes the draft the version that runs. The draft must have been
// built.
func (e *Emulator) deployAction(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, err := e.look(r)
	if err != nil {
		return reply{}, err
	}
	if a.status != statusBuilt {
		return reply{}, apiErrorf(http.StatusBadRequest, "", "A draft must be in the 'built' state before it can be deployed.")
	}
	return e.deployDraft(a, a.draft), nil
}

// deployVersion makes an older version run again, as a version of its own.
func (e *Emulator) deployVersion(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, v, err := e.findVersion(r)
	if err != nil {
		return reply{}, err
	}
	return e.deployDraft(a, v.draft), nil
}

func (e *Emulator) deployDraft(a *action, d draft) reply {
	a, v := a.deploy(d, statusBuilt, e.opts.Now())
	e.actions.put(a.id, a)
	doc := v.show(false)
	doc["action"] = a.summary()
	return reply{http.StatusOK, doc}
}

func (e *Emulator) findVersion(r *http.Request) (*action, version, error) {
	a, ok := e.actions.get(r.PathValue("id"))
	if !ok {
		return nil, version{}, noAction()
	}
	i := slices.IndexFunc(a.versions, func(v version) bool { return v.id == r.PathValue("version") })
	if i < 0 {
		return nil, version{}, apiErrorf(http.StatusNotFound, "", "That action version does not exist.")
	}
	return a, a.versions[i], nil
}

// showVersion is how a version appears with its Action.
func (a *action) showVersion(v version) document {
	newest, _ := a.deployed()
	doc := v.show(v.id == newest.id)
	doc["action"] = a.summary()
	return doc
}

func (e *Emulator) getVersion(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	a, v, err := e.findVersion(r)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, a.showVersion(v)}, nil
}

// listVersions answers newest first.
func (e *Emulator) listVersions(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseListQuery(r)
	if err != nil {
		return reply{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	a, ok := e.actions.get(r.PathValue("id"))
	if !ok {
		return reply{}, noAction()
	}
	newestFirst := slices.Clone(a.versions)
	slices.Reverse(newestFirst)
	from, to := q.window(len(newestFirst))
	page := []document{}
	for _, v := range newestFirst[from:to] {
		page = append(page, a.showVersion(v))
	}
	return actionsReply(q, "versions", page, len(newestFirst)), nil
}
