package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// WriteOptions say on what state a write may act, and whether it acts at all.
type WriteOptions struct {
	IfMatch string // the ETag of the state; "" is any
	DryRun  bool   // nothing is done; the answer's document is an api.DryRun
}

func (o WriteOptions) header() http.Header {
	if o.IfMatch == "" {
		return nil
	}
	return http.Header{"If-Match": {o.IfMatch}}
}

// Switch is why an agent is suspended or resumed.
type Switch struct {
	Reason       string `json:"reason"`
	RevokeTokens bool   `json:"revoke_tokens,omitempty"`
}

// Transfer is to whom an agent goes, and why.
type Transfer struct {
	Team   string `json:"team"`
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
}

// Rotation asks for new credentials.
type Rotation struct {
	Keys         json.RawMessage `json:"jwks,omitempty"`                  // the agent's new public keys; nil: a secret
	ExpiresAt    *time.Time      `json:"credentials_expire_at,omitempty"` // nil: never
	RevokeTokens bool            `json:"revoke_tokens,omitempty"`
}

// PatchAgent changes the agent with this name or id by a JSON Merge Patch (RFC
// 7396). The answer's document is an api.Agent. The server insists on o.IfMatch.
func (c *Client) PatchAgent(ctx context.Context, ref string, patch []byte, o WriteOptions) (Answer, error) {
	if err := checkRef(ref); err != nil {
		return Answer{}, err
	}
	return c.do(ctx, request{
		method: http.MethodPatch, path: []string{"agents", ref}, query: dryRun(o.DryRun), header: o.header(),
		body: patch, media: strictjson.MergePatch, want: okOrAccepted, repeat: o.DryRun,
	})
}

// SuspendAgent suspends the agent with this name or id. The answer's document is an
// api.Agent. It may be repeated by id, and is while the server says so.
func (c *Client) SuspendAgent(ctx context.Context, ref string, s Switch, o WriteOptions) (Answer, error) {
	return c.act(ctx, ref, "suspend", s, o, registry.IsUUID(ref))
}

// ResumeAgent resumes the agent with this name or id. The answer's document is an
// api.Agent.
func (c *Client) ResumeAgent(ctx context.Context, ref string, s Switch, o WriteOptions) (Answer, error) {
	return c.act(ctx, ref, "resume", s, o, false)
}

// TransferAgent gives the agent with this name or id to another team. The answer's
// document is an api.Agent.
func (c *Client) TransferAgent(ctx context.Context, ref string, t Transfer, o WriteOptions) (Answer, error) {
	return c.act(ctx, ref, "transfer", t, o, false)
}

// RotateCredentials gives the agent with this name or id new credentials. The
// answer's document is an api.RegisteredAgent, whose secret cannot be had again; or,
// when it is Accepted, an api.PendingAgent: repeat the call.
func (c *Client) RotateCredentials(ctx context.Context, ref string, r Rotation, o WriteOptions) (Answer, error) {
	return c.act(ctx, ref, "credentials", r, o, false)
}

// act posts a document to what is below the agent.
func (c *Client) act(ctx context.Context, ref, action string, document any, o WriteOptions, repeat bool) (Answer, error) {
	if err := checkRef(ref); err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(document)
	if err != nil {
		return Answer{}, registry.Invalid.Wrap(err, "invalid_document", "what was asked for is not JSON")
	}
	return c.do(ctx, request{
		method: http.MethodPost, path: []string{"agents", ref, action}, query: dryRun(o.DryRun), header: o.header(),
		body: body, want: okOrAccepted, repeat: repeat || o.DryRun,
	})
}

// DecommissionAgent decommissions the agent with this name or id. By id it may be
// repeated, and is while the server says so; a repetition by name could hit the
// name's next holder. When the answer is Accepted the agent is denied already and a
// provider has yet to follow; its document is an api.Agent then, and nil otherwise.
func (c *Client) DecommissionAgent(ctx context.Context, ref string, o WriteOptions) (Answer, error) {
	if err := checkRef(ref); err != nil {
		return Answer{}, err
	}
	return c.do(ctx, request{
		method: http.MethodDelete, path: []string{"agents", ref}, query: dryRun(o.DryRun), header: o.header(),
		want: []int{http.StatusOK, http.StatusAccepted, http.StatusNoContent}, repeat: registry.IsUUID(ref) || o.DryRun,
	})
}

// DeleteAgent is DecommissionAgent for callers that need not know whether every
// provider has followed.
func (c *Client) DeleteAgent(ctx context.Context, ref string) error {
	_, err := c.DecommissionAgent(ctx, ref, WriteOptions{})
	return err
}
