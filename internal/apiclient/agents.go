package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// AgentFilter chooses agents. An empty field does not choose.
type AgentFilter struct {
	Team, AgentType, Environment string
	Lifecycle                    string // "active" or "decommissioned"; the server's default is active
	Capability                   string // the name of one
	PageSize                     int    // agents per request, at most 200; 0 is the server's default
}

func (f AgentFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"team": f.Team, "agent_type": f.AgentType, "environment": f.Environment, "lifecycle": f.Lifecycle, "capability": f.Capability,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.PageSize > 0 {
		q.Set("limit", strconv.Itoa(f.PageSize))
	}
	return q
}

// Register registers the agent that a JSON document describes (CONTRACT
// "Register"). It sends the document once, whatever happens: after any error
// but a *Problem the agent may exist.
//
// The answer holds the agent's secret, which cannot be had again.
func (c *Client) Register(ctx context.Context, document []byte) (api.RegisteredAgent, error) {
	raw, err := c.RegisterJSON(ctx, document)
	if err != nil {
		return api.RegisteredAgent{}, err
	}
	return decode[api.RegisteredAgent](raw)
}

// RegisterJSON is Register with the server's own document.
func (c *Client) RegisterJSON(ctx context.Context, document []byte) (json.RawMessage, error) {
	return c.do(ctx, request{method: http.MethodPost, path: []string{"agents"}, body: document, want: http.StatusCreated})
}

// Agent returns the living agent with this name or id. It returns NotFound when
// there is none.
func (c *Client) Agent(ctx context.Context, ref string) (api.Agent, error) {
	raw, err := c.AgentJSON(ctx, ref)
	if err != nil {
		return api.Agent{}, err
	}
	return decode[api.Agent](raw)
}

// AgentJSON is Agent with the server's own document.
func (c *Client) AgentJSON(ctx context.Context, ref string) (json.RawMessage, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	return c.do(ctx, request{method: http.MethodGet, path: []string{"agents", ref}, want: http.StatusOK, repeat: true})
}

// DeleteAgent decommissions the agent with this name or id. By id it may be
// repeated, and is while the server says so; a repetition by name could hit the
// name's next holder. Unavailable means that the agent is denied already and the
// same call by id finishes the rest.
func (c *Client) DeleteAgent(ctx context.Context, ref string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	_, err := c.do(ctx, request{
		method: http.MethodDelete, path: []string{"agents", ref}, want: http.StatusNoContent, repeat: registry.IsUUID(ref),
	})
	return err
}

// Agents returns the agents that f chooses, by name, reading page after page as
// they are asked for. After an error it ends.
func (c *Client) Agents(ctx context.Context, f AgentFilter) iter.Seq2[api.Agent, error] {
	return decoded[api.Agent](c.AgentsJSON(ctx, f))
}

// AgentsJSON is Agents with the server's own documents.
func (c *Client) AgentsJSON(ctx context.Context, f AgentFilter) iter.Seq2[json.RawMessage, error] {
	return c.items(ctx, "agents", f.query())
}

// checkRef refuses what can be neither name nor id, before it becomes part of a
// path.
func checkRef(ref string) error {
	if registry.ValidName(ref) || registry.IsUUID(ref) {
		return nil
	}
	return registry.NotFound.Errorf("not_found", "no agent can have the name or id %q", ref)
}
