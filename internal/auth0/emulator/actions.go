package emulator

import (
	"net/http"
	"slices"
	"time"
)

// actionSchema lists what POST /actions/actions accepts.
var actionSchema = schema{
	required: []string{"name", "supported_triggers"},
	properties: map[string]rule{
		"name": matching(text(1, 255), `^[^<>]+$`),
		"supported_triggers": arrayOf(1, object(schema{
			required:   []string{"id"},
			properties: map[string]rule{"id": text(1, 255), "version": text(1, 255)},
		})),
		"code":    text(0, 1<<20),
		"runtime": oneOf(runtimes...),
		"dependencies": arrayOf(100, object(schema{
			required:   []string{"name", "version"},
			properties: map[string]rule{"name": text(1, 255), "version": text(1, 255), "registry_url": text(0, 2048)},
		})),
		"secrets": arrayOf(100, object(schema{
			required:   []string{"name"},
			properties: map[string]rule{"name": text(1, 255), "value": text(0, 4096), "updated_at": text(0, 64)},
		})),
		"deploy": isBool,
	},
}

var actionPatchSchema = actionSchema.without("deploy")

// edit applies the properties of a checked body to a draft. A secret without a
// value keeps the value that it has.
func (d draft) edit(doc document, now time.Time) (draft, error) {
	if v, ok := doc["name"]; ok {
		d.name = stringOf(v)
	}
	if v, ok := doc["code"]; ok {
		d.code = stringOf(v)
	}
	if v, ok := doc["runtime"]; ok {
		d.runtime = stringOf(v)
	}
	if v, ok := doc["supported_triggers"].([]any); ok {
		t, err := supportedTrigger(v)
		if err != nil {
			return draft{}, err
		}
		d.trigger = t
	}
	if v, ok := doc["dependencies"].([]any); ok {
		d.dependencies = []any{}
		for _, dep := range v {
			dep := dep.(map[string]any)
			d.dependencies = append(d.dependencies, document{"name": dep["name"], "version": dep["version"]})
		}
	}
	if v, ok := doc["secrets"].([]any); ok {
		d.secrets = editSecrets(d.secrets, v, now)
	}
	d.revision++
	return d, nil
}

func editSecrets(old []secret, entries []any, now time.Time) []secret {
	var kept []secret
	for _, entry := range entries {
		entry := entry.(map[string]any)
		s := secret{name: stringOf(entry["name"]), updatedAt: now}
		if value, ok := entry["value"]; ok {
			s.value = stringOf(value)
		} else if i := slices.IndexFunc(old, func(o secret) bool { return o.name == s.name }); i >= 0 {
			s = old[i]
		}
		kept = append(kept, s)
	}
	return kept
}

// supportedTrigger returns the one trigger of an Action, which must exist in the
// version that is named.
func supportedTrigger(list []any) (document, error) {
	if len(list) != 1 {
		return nil, invalidBody("'Array is too short (0), minimum 1' on property supported_triggers")
	}
	named := list[0].(map[string]any)
	id, ver := stringOf(named["id"]), stringOf(named["version"])
	for _, t := range triggers {
		if t.id == id && (t.version == ver || (ver == "" && t.status == "CURRENT")) {
			return document{"id": t.id, "version": t.version}, nil
		}
	}
	return nil, apiErrorf(http.StatusBadRequest, "invalid_body", "The trigger %s in version %q does not exist.", id, ver)
}

func (e *Emulator) createAction(w http.ResponseWriter, r *http.Request) (reply, error) {
	doc, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := actionSchema.check(doc); err != nil {
		return reply{}, err
	}
	now := e.opts.Now()
	d, err := draft{runtime: defaultRuntime, dependencies: []any{}}.edit(doc, now)
	if err != nil {
		return reply{}, err
	}
	a := &action{id: newUUID(), draft: d, status: statusPending, createdAt: now, updatedAt: now}
	if doc["deploy"] == true {
		a, _ = a.deploy(d, statusPending, now)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.nameFree(a); err != nil {
		return reply{}, err
	}
	e.actions.put(a.id, a)
	return reply{http.StatusCreated, a.show()}, nil
}

// nameFree refuses a name that another Action has: bindings find Actions by
// name.
func (e *Emulator) nameFree(a *action) error {
	if _, taken := e.actions.find(func(o *action) bool { return o.id != a.id && o.draft.name == a.draft.name }); taken {
		return apiErrorf(http.StatusConflict, "action_conflict", "An action with that name already exists.")
	}
	return nil
}

// look returns an Action after its build went one step further. The caller holds
// the lock for writing.
func (e *Emulator) look(r *http.Request) (*action, error) {
	a, ok := e.actions.get(r.PathValue("id"))
	if !ok {
		return nil, noAction()
	}
	a = a.build()
	e.actions.put(a.id, a)
	return a, nil
}

func (e *Emulator) getAction(_ http.ResponseWriter, r *http.Request) (reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, err := e.look(r)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, a.show()}, nil
}

func (e *Emulator) listActions(_ http.ResponseWriter, r *http.Request) (reply, error) {
	// The SDK asks every list for totals; Auth0's Actions always send them.
	q, err := parseListQuery(r, "actionName", "triggerId", "deployed")
	if err != nil {
		return reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	found := e.actions.list(func(a *action) bool {
		return q.is("actionName", a.draft.name) && q.is("triggerId", stringOf(a.draft.trigger["id"])) &&
			q.is("deployed", boolText(len(a.versions) > 0))
	})
	from, to := q.window(len(found))
	page := []document{}
	for _, a := range found[from:to] {
		a = a.build()
		e.actions.put(a.id, a)
		page = append(page, a.show())
	}
	return actionsReply(q, "actions", page, len(found)), nil
}

// actionsReply is how the Actions endpoints answer a list.
func actionsReply(q listQuery, name string, page []document, total int) reply {
	doc := document{name: page, "total": total, "per_page": q.perPage}
	if q.page > 0 {
		doc["page"] = q.page
	}
	return reply{http.StatusOK, doc}
}

func (e *Emulator) updateAction(w http.ResponseWriter, r *http.Request) (reply, error) {
	patch, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := actionPatchSchema.check(patch); err != nil {
		return reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old, ok := e.actions.get(r.PathValue("id"))
	if !ok {
		return reply{}, noAction()
	}
	a := *old
	a.status, a.updatedAt = statusPending, e.opts.Now()
	if a.draft, err = old.draft.edit(patch, a.updatedAt); err != nil {
		return reply{}, err
	}
	if err := e.nameFree(&a); err != nil {
		return reply{}, err
	}
	e.actions.put(a.id, &a)
	return reply{http.StatusOK, a.show()}, nil
}

// deleteAction refuses while the Action is bound, unless force is set, which
// also unbinds it. A second delete is 404 (recorded in TestActionManager_Delete).
func (e *Emulator) deleteAction(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseQuery(r, []string{"force"})
	if err != nil {
		return reply{}, err
	}
	id := r.PathValue("id")
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.actions.get(id); !ok {
		return reply{}, noAction()
	}
	isBound := func(b binding) bool { return b.actionID == id }
	for trigger, bound := range e.bindings {
		if q.values.Get("force") != "true" && slices.ContainsFunc(bound, isBound) {
			return reply{}, apiErrorf(http.StatusConflict, "", "An action must be unbound from all triggers before it can be deleted.")
		}
		e.bindings[trigger] = slices.DeleteFunc(slices.Clone(bound), isBound)
	}
	e.actions.remove(id)
	return reply{status: http.StatusNoContent}, nil
}
