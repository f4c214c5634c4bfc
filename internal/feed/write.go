package feed

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// writeSnapshot writes the scope as v shows it, in a fixed order. It writes line by
// line: nothing but the line is held in memory.
func writeSnapshot(w io.Writer, v *snapshot.View, scope string) error {
	whole := v.Touched(registry.ScopePart{Scope: scope})
	first := begin{
		Kind: beginLine, Epoch: v.Head().Epoch, Revision: v.Head().Revision, Scope: scope,
		AsOf: whole.At.UTC(), Touched: whole.Revision, Parts: map[string]touch{},
	}
	for _, name := range registry.Parts {
		t := v.Touched(registry.ScopePart{Scope: scope, Part: name})
		first.Parts[name] = touch{Revision: t.Revision, AsOf: t.At.UTC()}
	}
	lines := newLines(w)
	lines.write(first)
	at := moved{v.Head(), whole.At.UTC()}
	e, _ := v.Environment(scope)
	put(lines, at, registry.EnvironmentChange, scope, environmentImageOf(e))
	if p := v.Policy(); p.Hash != "" {
		put(lines, at, registry.PolicyChange, p.Hash, policyImageOf(p))
	}
	for _, l := range v.GlobalLayers() {
		put(lines, at, registry.LayerChange, l.String(), layerImageOf(l))
	}
	for _, layers := range []*snapshot.Map[registry.LayerFacts]{v.Layers(registry.TierTeam), v.Layers(registry.TierAgentType), v.AgentLayers(scope)} {
		putAll(lines, at, registry.LayerChange, layers, registry.LayerFacts.String, layerImageOf)
	}
	putAll(lines, at, registry.ResourceChange, v.Resources(), func(r registry.ResourceFacts) string { return r.Name }, resourceImageOf)
	putAll(lines, at, registry.AgentChange, v.Agents(scope), func(a registry.AgentFacts) string { return a.ID }, agentImageOf)
	return lines.end(v.Head())
}

// writeChanges writes the changes as the scope's policy sees them, and that they
// are all up to upTo.
func writeChanges(w io.Writer, scope string, changes []registry.Change, upTo registry.Head) error {
	lines := newLines(w)
	for _, c := range changes {
		writeChange(lines, scope, c)
	}
	return lines.end(upTo)
}

func writeChange(lines *lines, scope string, c registry.Change) {
	at := moved{c.Head, c.At.UTC()}
	switch {
	case c.Agent != nil && c.Agent.Environment == scope:
		put(lines, at, c.Kind, c.ObjectID, agentImageOf(*c.Agent))
	case c.Layer != nil && (c.Layer.Environment == "" || c.Layer.Environment == scope):
		put(lines, at, c.Kind, c.ObjectID, layerImageOf(*c.Layer))
	case c.Resource != nil:
		put(lines, at, c.Kind, c.ObjectID, resourceImageOf(*c.Resource))
	case c.Environment != nil:
		put(lines, at, c.Kind, c.ObjectID, environmentImageOf(*c.Environment))
	case c.Policy != nil:
		put(lines, at, c.Kind, c.ObjectID, policyImageOf(*c.Policy))
	default: // gone, also from this scope alone; or a heartbeat
		put[any](lines, at, c.Kind, c.ObjectID, nil)
	}
}

// moved is when something came about.
type moved struct {
	registry.Head
	at time.Time
}

func put[After any](l *lines, at moved, kind registry.ChangeKind, id string, after After) {
	l.write(line[After]{Epoch: at.Epoch, Revision: at.Revision, At: at.at, Kind: kind, ID: id, After: after})
	l.count++
}

// putAll puts all of a map, shard by shard: sorting a shard takes no memory to
// speak of.
func putAll[V, After any](l *lines, at moved, kind registry.ChangeKind, m *snapshot.Map[V], id func(V) string, image func(V) After) {
	for i := range snapshot.Shards {
		entries := maps.Collect(m.Shard(i).All())
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			put(l, at, kind, id(entries[key]), image(entries[key]))
		}
	}
}

// lines writes lines until one cannot be written.
type lines struct {
	encoder *json.Encoder
	count   int
	err     error
}

func newLines(w io.Writer) *lines {
	l := &lines{encoder: json.NewEncoder(w)}
	l.encoder.SetEscapeHTML(false)
	return l
}

func (l *lines) write(v any) {
	if l.err == nil {
		l.err = l.encoder.Encode(v)
	}
}

func (l *lines) end(at registry.Head) error {
	l.write(end{Kind: endLine, Epoch: at.Epoch, Revision: at.Revision, Count: l.count})
	if l.err != nil {
		return fmt.Errorf("write the feed: %w", l.err)
	}
	return nil
}
