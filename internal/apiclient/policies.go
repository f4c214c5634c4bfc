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

// PolicyWrite says on which state a policy is written, and how.
type PolicyWrite struct {
	IfMatch        string // the ETag of the state that is replaced; "": there is none, the policy is created
	DeniesEveryone bool   // the caller knows that the policy denies every call
	DryRun         bool   // everything is checked and nothing kept
}

func (w PolicyWrite) header() http.Header {
	if w.IfMatch == "" {
		return http.Header{"If-None-Match": {"*"}}
	}
	return http.Header{"If-Match": {w.IfMatch}}
}

func (w PolicyWrite) query() url.Values {
	q := url.Values{}
	if w.DeniesEveryone {
		q.Set("confirm", "denies_everyone")
	}
	if w.DryRun {
		q.Set("dry_run", "true")
	}
	return q
}

// PolicyJSON returns the policy of that name as the server's own document
// (api.Policy), with the ETag of the state that it shows, or NotFound.
func (c *Client) PolicyJSON(ctx context.Context, key registry.LayerKey) (Answer, error) {
	if err := checkLayer(key); err != nil {
		return Answer{}, err
	}
	return c.do(ctx, request{method: http.MethodGet, path: policyPath(key), want: ok, repeat: true})
}

// PoliciesJSON returns the policies of a tier, or of all where it is "", reading
// page after page as they are asked for. After an error it ends.
func (c *Client) PoliciesJSON(ctx context.Context, tier registry.Tier) iter.Seq2[json.RawMessage, error] {
	q := url.Values{}
	if tier != "" {
		q.Set("tier", string(tier))
	}
	return c.items(ctx, []string{"policies"}, q)
}

// PutPolicyJSON creates or replaces the policy of that name as a JSON document
// describes it (CONTRACT "Policies"). It is sent again while the server says so: a
// write on a state that is no more is refused.
func (c *Client) PutPolicyJSON(ctx context.Context, key registry.LayerKey, document []byte, w PolicyWrite) (Answer, error) {
	if err := checkLayer(key); err != nil {
		return Answer{}, err
	}
	return c.do(ctx, request{
		method: http.MethodPut, path: policyPath(key), query: w.query(), header: w.header(), body: document, want: okOrCreated, repeat: true,
	})
}

// RollbackPolicyJSON makes the policy what it was in that version.
func (c *Client) RollbackPolicyJSON(ctx context.Context, key registry.LayerKey, version int64, w PolicyWrite) (Answer, error) {
	if err := checkLayer(key); err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(map[string]int64{"version": version})
	if err != nil {
		return Answer{}, err
	}
	return c.do(ctx, request{
		method: http.MethodPost, path: policyPath(key, "rollback"), query: w.query(), header: w.header(), body: body, want: okOrCreated, repeat: true,
	})
}

// DeletePolicy deletes the policy whose present state has that ETag.
func (c *Client) DeletePolicy(ctx context.Context, key registry.LayerKey, w PolicyWrite) error {
	if err := checkLayer(key); err != nil {
		return err
	}
	_, err := c.do(ctx, request{method: http.MethodDelete, path: policyPath(key), query: w.query(), header: w.header(), want: okOrNoContent, repeat: true})
	return err
}

// PolicyVersions returns what the policy was, the newest first.
func (c *Client) PolicyVersions(ctx context.Context, key registry.LayerKey) iter.Seq2[api.PolicyVersion, error] {
	if err := checkLayer(key); err != nil {
		return func(yield func(api.PolicyVersion, error) bool) { yield(api.PolicyVersion{}, err) }
	}
	return decoded[api.PolicyVersion](c.items(ctx, policyPath(key, "versions"), nil))
}

// PolicyVersionJSON returns what the policy was in that version (api.PolicyVersion).
func (c *Client) PolicyVersionJSON(ctx context.Context, key registry.LayerKey, version int64) (json.RawMessage, error) {
	if err := checkLayer(key); err != nil {
		return nil, err
	}
	answer, err := c.do(ctx, request{method: http.MethodGet, path: policyPath(key, "versions", strconv.FormatInt(version, 10)), want: ok, repeat: true})
	return answer.Document, err
}

// ValidatePolicyJSON has the server check a policy as a PUT would, and keeps
// nothing (api.PolicyVerdict).
func (c *Client) ValidatePolicyJSON(ctx context.Context, key registry.LayerKey, document []byte) (json.RawMessage, error) {
	if err := checkLayer(key); err != nil {
		return nil, err
	}
	q := url.Values{"tier": {string(key.Tier)}, "id": {key.ID}}
	answer, err := c.do(ctx, request{method: http.MethodPost, path: []string{"policies:validate"}, query: q, body: document, want: ok, repeat: true})
	return answer.Document, err
}

func policyPath(key registry.LayerKey, more ...string) []string {
	return append([]string{"policies", string(key.Tier), key.ID}, more...)
}

// checkLayer refuses what can be no policy's name, before it becomes part of a
// path.
func checkLayer(key registry.LayerKey) error {
	if key.Valid() {
		return nil
	}
	return registry.Invalid.Errorf("invalid_name", "there can be no policy %q: the tier is global, team, agent_type or agent, and an agent's is named by its id", key)
}
