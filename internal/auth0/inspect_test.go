package auth0

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestInspectTenantFindsNothingAfterSetup(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	before := len(tn.writes())
	got, err := tn.client(t, nil).InspectTenant(t.Context())
	if err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if len(tn.writes()) != before {
		t.Error("something was written")
	}
}

func TestInspectTenantFindsWhateverDrifted(t *testing.T) {
	t.Parallel()
	const server, action = "resource_server " + testAudience, "action credence-claims-test"
	for name, row := range map[string]struct {
		change func(*testing.T, *Client)
		want   []string
	}{
		"no set-up at all": {nil, []string{server + ": , not absent but present", action + ": , not absent but present"}},
		"no permissions": {func(t *testing.T, c *Client) {
			patch(t, c, "resource-servers", serverOf(t, c), map[string]any{"enforce_policies": false, "token_dialect": "access_token"})
		}, []string{server + ": enforce_policies, not false but true", server + ": token_dialect, not access_token but access_token_authz"}},
		"a secret signature": {func(t *testing.T, c *Client) {
			patch(t, c, "resource-servers", serverOf(t, c), map[string]any{"signing_alg": "HS256"})
		}, []string{server + ": signing_alg, not HS256 but RS256"}},
		"another draft": {func(t *testing.T, c *Client) {
			patch(t, c, "actions/actions", actionOf(t, c), map[string]any{"code": "exports.x = 1;"})
		}, []string{action + ": code"}},
		"other code that runs": {func(t *testing.T, c *Client) {
			id := actionOf(t, c)
			patch(t, c, "actions/actions", id, map[string]any{"code": "exports.onExecuteCredentialsExchange = async () => {};"})
			deploy(t, c, id)
		}, []string{action + ": code", action + ": deployed_code"}},
		"no binding": {func(t *testing.T, c *Client) {
			patch(t, c, "actions/triggers/credentials-exchange", "bindings", map[string]any{"bindings": []any{}})
		}, []string{action + ": binding, not absent but present"}},
	} {
		tn := newTenant(t, nil)
		if row.change != nil {
			if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
				t.Fatal(err)
			}
			row.change(t, tn.client(t, nil))
		}
		drifts, err := tn.client(t, nil).InspectTenant(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, d := range drifts {
			text := d.ObjectKind + " " + d.ObjectID + ": " + d.Field
			if !strings.HasPrefix(d.Found, "sha256:") {
				text += ", not " + d.Found + " but " + d.Expected
			}
			got = append(got, text)
			if d.Provider != "auth0" || d.AgentID != "" || d.Action != registry.DriftReported || d.Expected == d.Found {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
		if row.change == nil {
			continue
		}
		if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
			t.Fatal(err)
		}
		if left, err := tn.client(t, nil).InspectTenant(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("%s: after setup: %+v, %v", name, left, err)
		}
	}
}

func TestInspectTenantFindsAnActionOfAnotherTrigger(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	tn.faults.set("GET", "/api/v2/actions/actions", answer(200, `{"total":1,"per_page":50,"actions":[{"id":"1","name":"credence-claims-test",
		"supported_triggers":[{"id":"post-login","version":"v3"}]}]}`))
	drifts, err := tn.client(t, nil).InspectTenant(t.Context())
	if err != nil || len(drifts) == 0 || drifts[0].Field != "trigger" || drifts[0].Found != "post-login" {
		t.Errorf("%+v, %v", drifts, err)
	}
}

// Nothing found is no statement about what could not be read.
func TestInspectTenantSaysNothingWhereItCannotRead(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	id := actionOf(t, c)
	for _, path := range []string{
		"/api/v2/resource-servers", "/api/v2/actions/actions", "/api/v2/actions/actions/" + id,
		"/api/v2/actions/triggers/credentials-exchange/bindings",
	} {
		for name, row := range map[string]struct {
			fault fault
			kind  registry.Kind
		}{
			"dropped":   {dropAfterReading, registry.Unavailable},
			"truncated": {truncate, registry.Unavailable},
			"null":      {answer(200, `null`), registry.Unavailable},
			"broken":    {answer(500, ``), registry.Unavailable},
			"away":      {answer(503, ``), registry.Unavailable},
			"forbidden": {answer(403, `{"statusCode":403,"errorCode":"insufficient_scope"}`), registry.Refused},
		} {
			tn.faults.set("GET", path, row.fault)
			if drifts, err := c.InspectTenant(t.Context()); !errors.Is(err, row.kind) || drifts != nil {
				t.Errorf("%s, %s: %v, %v", path, name, drifts, err)
			}
		}
	}
}

// patch changes an object of the tenant.
func patch(t *testing.T, c *Client, kind, id string, change map[string]any) {
	t.Helper()
	if err := c.management.Request(t.Context(), "PATCH", c.management.URI(append(strings.Split(kind, "/"), id)...), &change); err != nil {
		t.Fatal(err)
	}
}

func serverOf(t *testing.T, c *Client) string {
	t.Helper()
	server, err := (&preparer{config: SetupConfig{Config: c.config}, client: c}).findServer(t.Context(), testAudience)
	if err != nil {
		t.Fatal(err)
	}
	return server.GetID()
}

func actionOf(t *testing.T, c *Client) string {
	t.Helper()
	action, err := (&preparer{config: SetupConfig{Config: c.config}, client: c}).findAction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return action.GetID()
}

// deploy deploys the draft of the Action as soon as it is built.
func deploy(t *testing.T, c *Client, id string) {
	t.Helper()
	p := &preparer{config: SetupConfig{Config: c.config}, client: c}
	action, err := p.readAction(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.deploy(t.Context(), id, action.GetCode()); err != nil {
		t.Fatal(err)
	}
}
