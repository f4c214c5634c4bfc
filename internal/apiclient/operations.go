package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/credenceproject/credence/api"
)

// AuditFilter chooses events of the audit log. An empty field does not choose.
type AuditFilter struct {
	Agent       string // id, or name at the time
	Actor       string // subject of who did it
	Action      string // such as agent.register
	From, Until time.Time
	PageSize    int // events per request, at most 200; 0 is the server's default
}

func (f AuditFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"agent": f.Agent, "actor": f.Actor, "action": f.Action} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"from": f.From, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.PageSize > 0 {
		q.Set("limit", strconv.Itoa(f.PageSize))
	}
	return q
}

// Audit returns the events that f chooses, the newest first, reading page after page
// as they are asked for. After an error it ends.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[api.AuditEvent, error] {
	return decoded[api.AuditEvent](c.AuditJSON(ctx, f))
}

// AuditJSON is Audit with the server's own documents.
func (c *Client) AuditJSON(ctx context.Context, f AuditFilter) iter.Seq2[json.RawMessage, error] {
	return c.items(ctx, []string{"audit"}, f.query())
}

// Drift returns where providers differ from the registry, reading page after page as
// they are asked for. After an error it ends.
func (c *Client) Drift(ctx context.Context) iter.Seq2[api.DriftRecord, error] {
	return decoded[api.DriftRecord](c.DriftJSON(ctx))
}

// DriftJSON is Drift with the server's own documents.
func (c *Client) DriftJSON(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return c.items(ctx, []string{"drift"}, nil)
}

// RepairDrift has the agent with this name or id, or with "" each that differs,
// brought to what the registry says, and returns how many passes are due for it. It
// may be repeated, and is while the server says so.
func (c *Client) RepairDrift(ctx context.Context, agent string) (queued int, err error) {
	r := request{method: http.MethodPost, path: []string{"drift", "repair"}, want: []int{http.StatusAccepted}, repeat: true}
	if agent != "" {
		if err := checkRef(agent); err != nil {
			return 0, err
		}
		r.body, _ = json.Marshal(map[string]string{"agent": agent}) // a string always encodes
	}
	answer, err := c.do(ctx, r)
	if err != nil {
		return 0, err
	}
	q, err := decode[api.QueuedRepairs](answer.Document)
	return q.Queued, err
}
