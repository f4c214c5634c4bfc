package registrytest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
)

// Needle is part of everything that a Writer writes and that policy must not
// see: owners, descriptions, configurations and endpoints.
const Needle = "needle-4711"

var (
	by   = registry.Actor{Subject: "auth0|alice"}
	free = registry.Precondition{} // allows all
)

// Writer writes to a real registry as users would. It is not safe for concurrent
// use, but several Writers may write to one registry.
type Writer struct {
	store *postgres.Store
	name  string   // of the writer, part of its agents' names
	ids   []string // its agents, living or not
}

// NewWriter returns a Writer whose objects are its own if its name is.
func NewWriter(store *postgres.Store, name string) *Writer { return &Writer{store: store, name: name} }

// Seed writes what other writes need: an agent type, an environment, a policy.
func (w *Writer) Seed(ctx context.Context) error {
	if _, _, err := w.store.PutAgentType(ctx, registry.AgentType{Name: "assistant"}, free, by); err != nil {
		return err
	}
	if err := w.PutEnvironment(ctx, "production", "permissions"); err != nil {
		return err
	}
	_, err := w.store.ActivatePolicy(ctx, Policy(1), false, by)
	return err
}

// Write makes one random write, or finds that there is nothing to do.
func (w *Writer) Write(ctx context.Context, draw Draw) error {
	var err error
	environment := pick(draw, "production", "staging")
	switch draw(19) {
	case 0:
		err = w.PutEnvironment(ctx, environment, pick(draw, "permissions", "explicit"))
	case 1:
		err = w.store.DeleteEnvironment(ctx, "staging", free, by)
	case 2, 3, 4:
		_, err = w.Register(ctx, fmt.Sprintf("%s-agent-%d", w.name, draw(6)), environment, draw(4) > 0)
	case 5, 6, 7, 8:
		err = w.changeAgent(ctx, draw)
	case 9, 10, 11:
		err = w.putResource(ctx, resource(draw), some(draw, "production", "staging"))
	case 12:
		err = w.store.DeleteResource(ctx, fmt.Sprintf("resource-%d", draw(6)), free, registry.Judgement{}, by)
	case 13, 14, 15, 16:
		err = w.changeLayer(ctx, draw)
	case 17:
		_, err = w.store.Heartbeat(ctx, time.Duration(draw(3))*10*time.Millisecond)
	default:
		err = w.rare(ctx, draw)
	}
	if errors.Is(err, registry.NotFound) || errors.Is(err, registry.Conflict) {
		return nil // what it is about is not there, or is in use
	}
	return err
}

func (w *Writer) rare(ctx context.Context, draw Draw) error {
	if draw(2) == 0 {
		_, _, err := w.store.PutTeam(ctx, registry.Team{Name: "support", MaxAgents: int64(100 + draw(3))}, free, by)
		return err
	}
	_, err := w.store.ActivatePolicy(ctx, Policy(int64(1+draw(3))), true, by)
	return err
}

// PutEnvironment creates or replaces the environment.
func (w *Writer) PutEnvironment(ctx context.Context, name, grants string) error {
	e := registry.Environment{Name: name, Grants: grants, MaxStaleness: "15m", AllowedEndpoints: []string{Needle + ".example.com:443"}}
	_, _, err := w.store.PutEnvironment(ctx, e, free, by)
	return err
}

func resource(draw Draw) registry.Resource {
	return registry.Resource{
		Name: fmt.Sprintf("resource-%d", draw(6)), Team: pick(draw, "support", "sales"), DataClassification: pick(draw, "public", "high"),
		Description:         pick(draw, "", "no change for policy: "),
		RequiredPermissions: some(draw, "skills:invoke", "data:read"),
		Access:              registry.Access{Visibility: pick(draw, registry.VisibleToTeam, registry.VisibleToOrganization), Teams: some(draw, "ops")},
	}
}

// PutResource creates or replaces the resource, deployed in the environments.
func (w *Writer) PutResource(ctx context.Context, name string, environments ...string) error {
	return w.putResource(ctx, registry.Resource{Name: name, Team: "support", DataClassification: "high"}, environments)
}

func (w *Writer) putResource(ctx context.Context, r registry.Resource, environments []string) error {
	r.Type = registry.Skill
	r.Description += Needle
	r.Operations = []registry.Operation{{Name: Needle, Method: "POST", Path: "/" + Needle}}
	r.Deployments = map[string]registry.Deployment{}
	for _, environment := range environments {
		r.Deployments[environment] = registry.Deployment{Endpoint: "https://" + Needle + ".example.com"}
	}
	_, _, err := w.store.PutResource(ctx, r, free, registry.Judgement{}, by)
	return err
}
