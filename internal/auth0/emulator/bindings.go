package emulator

import (
	"net/http"
	"slices"
	"time"
)

// binding runs an Action at a trigger.
type binding struct {
	id          string
	actionID    string
	displayName string
	createdAt   time.Time
}

// bindingsSchema lists what PATCH …/bindings accepts.
var bindingsSchema = schema{
	required: []string{"bindings"},
	properties: map[string]rule{"bindings": arrayOf(20, object(schema{
		required: []string{"ref"},
		properties: map[string]rule{
			"ref": object(schema{
				required:   []string{"type", "value"},
				properties: map[string]rule{"type": oneOf("action_id", "action_name", "binding_id"), "value": text(1, 255)},
			}),
			"display_name": text(1, 255),
		},
	}))},
}

func noTrigger() *apiError {
	return apiErrorf(http.StatusNotFound, "", "That trigger does not exist.")
}

func (e *Emulator) listBindings(_ http.ResponseWriter, r *http.Request) (reply, error) {
	q, err := parseListQuery(r)
	if err != nil {
		return reply{}, err
	}
	id := r.PathValue("trigger")
	if !knownTrigger(id) {
		return reply{}, noTrigger()
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	docs := e.showBindings(id)
	from, to := q.window(len(docs))
	return actionsReply(q, "bindings", docs[from:to], len(docs)), nil
}

// showBindings returns the bindings of a trigger. The caller holds the lock.
func (e *Emulator) showBindings(trigger string) []document {
	docs := []document{}
	for _, b := range e.bindings[trigger] {
		a, ok := e.actions.get(b.actionID)
		if !ok {
			continue
		}
		docs = append(docs, document{
			"id": b.id, "trigger_id": trigger, "action": a.bound(), "display_name": b.displayName,
			"created_at": timestamp(b.createdAt), "updated_at": timestamp(b.createdAt),
		})
	}
	return docs
}

// replaceBindings sets the whole list of a trigger: an Action that is not in it
// is unbound. A list with one fault changes nothing.
func (e *Emulator) replaceBindings(w http.ResponseWriter, r *http.Request) (reply, error) {
	doc, err := decodeObject(w, r)
	if err != nil {
		return reply{}, err
	}
	if err := bindingsSchema.check(doc); err != nil {
		return reply{}, err
	}
	id := r.PathValue("trigger")
	if !knownTrigger(id) {
		return reply{}, noTrigger()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var bound []binding
	for _, entry := range doc["bindings"].([]any) {
		b, err := e.bind(id, entry.(map[string]any))
		if err != nil {
			return reply{}, err
		}
		if slices.ContainsFunc(bound, func(o binding) bool { return o.actionID == b.actionID }) {
			return reply{}, apiErrorf(http.StatusBadRequest, "", "An action can be bound to a trigger once.")
		}
		bound = append(bound, b)
	}
	e.bindings[id] = bound
	return reply{http.StatusOK, document{"bindings": e.showBindings(id)}}, nil
}

// bind resolves one entry. A binding that exists keeps its id and its name.
func (e *Emulator) bind(trigger string, entry document) (binding, error) {
	b := binding{id: newUUID(), createdAt: e.opts.Now()}
	ref := entry["ref"].(map[string]any)
	value := stringOf(ref["value"])
	if ref["type"] == "binding_id" {
		i := slices.IndexFunc(e.bindings[trigger], func(o binding) bool { return o.id == value })
		if i < 0 {
			return binding{}, apiErrorf(http.StatusNotFound, "", "That binding does not exist.")
		}
		b = e.bindings[trigger][i]
	} else {
		a, ok := e.actions.find(func(a *action) bool {
			return (ref["type"] == "action_id" && a.id == value) || (ref["type"] == "action_name" && a.draft.name == value)
		})
		if !ok {
			return binding{}, noAction()
		}
		if err := a.bindable(trigger); err != nil {
			return binding{}, err
		}
		b.actionID, b.displayName = a.id, a.draft.name
	}
	if name := stringOf(entry["display_name"]); name != "" {
		b.displayName = name
	}
	return b, nil
}

// bindable refuses Actions for other triggers and those that were never
// deployed.
func (a *action) bindable(trigger string) error {
	if a.draft.trigger["id"] != trigger {
		return apiErrorf(http.StatusBadRequest, "", "The action does not support the trigger %s.", trigger)
	}
	if _, ok := a.deployed(); !ok {
		return apiErrorf(http.StatusBadRequest, "", "Trying to create a binding for an action that has not been deployed.")
	}
	return nil
}
