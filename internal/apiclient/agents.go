package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// AgentFilter chooses agents. An empty field does not choose.
type AgentFilter struct {
	Team, AgentType, Environment string
	Lifecycle                    string    // "active" or "decommissioned"; the server's default is active
	Capability                   string    // the name of one
	ExpiresBefore                time.Time // agents that expire, or whose credentials do, before it
	PageSize                     int       // agents per request, at most 200; 0 is the server's default
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
	if !f.ExpiresBefore.IsZero() {
		q.Set("expires_before", f.ExpiresBefore.UTC().Format(time.RFC3339))
	}
	if f.PageSize > 0 {
		q.Set("limit", strconv.Itoa(f.PageSize))
	}
	return q
}

// RegisterOptions say how an agent is registered.
type RegisterOptions struct {
	// IdempotencyKey makes the call repeatable: it is sent again when its answer is
	// lost, and leads to one agent. "" is none.
	IdempotencyKey string
	// DryRun has the server validate and authorise in full and do nothing; the
	// document is an api.DryRun.
	DryRun bool
}

// RegisterAgent registers the agent that a JSON document describes (CONTRACT
// "Register"). The answer's document is an api.RegisteredAgent, whose secret cannot
// be had again; or, when it is Accepted or Replayed without a secret, an
// api.PendingAgent.
//
// Without a key the document is sent once, whatever happens: after any error but a
// *Problem the agent may exist.
func (c *Client) RegisterAgent(ctx context.Context, document []byte, o RegisterOptions) (Answer, error) {
	header := http.Header{}
	if o.IdempotencyKey != "" {
		header.Set("Idempotency-Key", quoted(o.IdempotencyKey))
	}
	return c.do(ctx, request{
		method: http.MethodPost, path: []string{"agents"}, query: dryRun(o.DryRun), header: header, body: document,
		want: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}, repeat: o.IdempotencyKey != "" || o.DryRun, resend: o.IdempotencyKey != "",
	})
}

// quoted is a string of structured fields (RFC 9651, section 3.3.3).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func dryRun(yes bool) url.Values {
	if !yes {
		return nil
	}
	return url.Values{"dry_run": {"true"}}
}

// NotReady is the code of the Unavailable error that says that an agent was
// registered and that its credentials are to be collected later.
const NotReady = "agent_not_ready"

// Register is RegisterAgent without a key, for callers that need the credentials at
// once. It returns Unavailable with code NotReady when providers have not followed
// yet: the agent exists then.
func (c *Client) Register(ctx context.Context, document []byte) (api.RegisteredAgent, error) {
	raw, err := c.RegisterJSON(ctx, document)
	if err != nil {
		return api.RegisteredAgent{}, err
	}
	return decode[api.RegisteredAgent](raw)
}

// RegisterJSON is Register with the server's own document.
func (c *Client) RegisterJSON(ctx context.Context, document []byte) (json.RawMessage, error) {
	answer, err := c.RegisterAgent(ctx, document, RegisterOptions{})
	if err != nil {
		return nil, err
	}
	if answer.Accepted {
		e := registry.Unavailable.Errorf(NotReady, "the agent is registered, and its credentials are not there yet: collect them with POST /agents/{name}/credentials")
		e.RetryAfter = answer.RetryAfter
		return nil, e
	}
	return answer.Document, nil
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
	answer, err := c.GetAgent(ctx, ref, GetOptions{})
	return answer.Document, err
}

// GetOptions say how an agent is read.
type GetOptions struct {
	Tombstones bool          // also find the decommissioned, which admins may
	Wait       time.Duration // for the agent to become ready, at most a minute; 0: do not
}

// GetAgent returns the agent with this name or id, an api.Agent, with its ETag. When
// it was waited for and is not ready, the answer has RetryAfter. It returns NotFound
// when there is none.
func (c *Client) GetAgent(ctx context.Context, ref string, o GetOptions) (Answer, error) {
	if err := checkRef(ref); err != nil {
		return Answer{}, err
	}
	q := url.Values{}
	if o.Tombstones {
		q.Set("include", "decommissioned")
	}
	if o.Wait > 0 {
		q.Set("wait", "ready")
		q.Set("timeout", o.Wait.String())
	}
	return c.do(ctx, request{method: http.MethodGet, path: []string{"agents", ref}, query: q, want: ok, repeat: true, patience: o.Wait})
}

// Agents returns the agents that f chooses, by name, reading page after page as
// they are asked for. After an error it ends.
func (c *Client) Agents(ctx context.Context, f AgentFilter) iter.Seq2[api.Agent, error] {
	return decoded[api.Agent](c.AgentsJSON(ctx, f))
}

// AgentsJSON is Agents with the server's own documents.
func (c *Client) AgentsJSON(ctx context.Context, f AgentFilter) iter.Seq2[json.RawMessage, error] {
	return c.items(ctx, []string{"agents"}, f.query())
}

// checkRef refuses what can be neither name nor id, before it becomes part of a
// path.
func checkRef(ref string) error {
	if registry.ValidName(ref) || registry.IsUUID(ref) {
		return nil
	}
	return registry.NotFound.Errorf("not_found", "no agent can have the name or id %q", ref)
}
