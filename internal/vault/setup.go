package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/setup"
)

// Lifetimes of tokens when SetupConfig does not say.
const (
	DefaultTokenTTL    = 10 * time.Minute // an agent's, once logged in
	DefaultTokenMaxTTL = 20 * time.Minute // and however often renewed

	defaultControlPlaneTTL    = 20 * time.Minute
	defaultControlPlaneMaxTTL = time.Hour
)

// DefaultAppRole is the control plane's AppRole.
const DefaultAppRole = "credence"

// SetupConfig says how to prepare a store for Credence.
type SetupConfig struct {
	Address        string
	AllowPlaintext bool   // http to any host
	Token          string // an operator's, of rights to mount, to write policies and roles
	Namespace      string // optional; must exist
	CACertFile     string // optional, PEM
	Timeout        time.Duration

	JWTMount     string // default DefaultJWTMount
	KVMount      string // default DefaultKVMount
	AppRoleMount string // default DefaultAppRoleMount
	Role         string // the agents' role on the JWT mount; default DefaultRole
	AppRole      string // the control plane's role and the prefix of all policies; default DefaultAppRole, with another JWT mount's name behind it

	Issuer      string        // `iss` of the agents' tokens, to the letter
	JWKSURL     string        // where their keys are; must answer during setup
	Audience    string        // `aud` of the agents' tokens, and the prefix of their custom claims
	TokenTTL    time.Duration // whole seconds; default DefaultTokenTTL
	TokenMaxTTL time.Duration // whole seconds; default DefaultTokenMaxTTL

	ControlPlaneTTL    time.Duration // of the control plane's token; default 20m
	ControlPlaneMaxTTL time.Duration // default 1h

	Database *DatabaseConfig // optional

	IssueSecretID bool // make a new secret id for the AppRole; the old ones stay valid
	DryRun        bool // write nothing
}

// Result is what Setup did, and with what the control plane logs in.
type Result struct {
	Report   setup.Report
	RoleID   string // "" when a dry run found no AppRole
	SecretID string // a secret; "" unless asked for
}

// AgentPolicy is the name of the policy that all agents have.
func (c SetupConfig) AgentPolicy() string {
	return c.appRole() + "-" + orDefault(c.Role, DefaultRole)
}

// appRole is the configured name, or one that tells the installations of one
// store apart: each has a JWT mount of its own, and the policies of one name its
// mounts.
func (c SetupConfig) appRole() string {
	mount := orDefault(c.JWTMount, DefaultJWTMount)
	switch {
	case c.AppRole != "":
		return c.AppRole
	case mount == DefaultJWTMount:
		return DefaultAppRole
	}
	return DefaultAppRole + "-" + strings.ReplaceAll(mount, "/", "-")
}

// controlPlanePolicyName is never that of AgentPolicy: validate sees to it.
func (c SetupConfig) controlPlanePolicyName() string { return c.AppRole + "-control-plane" }

// Setup prepares the store of c for Credence: the JWT auth mount with its role,
// the agents' templated policy, the KV v2 store, and the control plane's
// AppRole with its policy. It reads before it writes and writes only what
// differs, so a second run reports everything as unchanged.
//
// What the store already has under these names is brought in line, and the
// report says what differed; a mount of another type is not touched. Settings
// that narrow a role further, such as token_bound_cidrs, are kept.
//
// It fails with registry.Invalid when c cannot work, registry.Refused when the
// store says no (the token lacks a right, or the key set could not be fetched),
// and registry.Unavailable when it is away. The report then tells how far it
// came; Setup may be repeated.
func Setup(ctx context.Context, c SetupConfig) (Result, error) {
	result := Result{Report: setup.Report{System: "vault", DryRun: c.DryRun}}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return result, err
	}
	n, err := connect(endpoint{c.Address, c.AllowPlaintext, c.Namespace, c.CACertFile, c.Timeout}, nil)
	if err != nil {
		return result, err
	}
	p := &preparer{conn: n, token: c.Token, dryRun: c.DryRun, report: &result.Report}
	steps := []func(context.Context, *preparer) error{c.agents, c.controlPlane, c.database}
	for _, step := range steps {
		if err := step(ctx, p); err != nil {
			return result, fmt.Errorf("set up vault: %w", err)
		}
	}
	if result.RoleID, err = p.roleID(ctx, c); err != nil {
		return result, fmt.Errorf("read role id: %w", err)
	}
	if c.IssueSecretID && !c.DryRun {
		if result.SecretID, err = p.secretID(ctx, c); err != nil {
			return result, fmt.Errorf("issue secret id: %w", err)
		}
	}
	return result, nil
}

// agents prepares what agents use. The policy comes before the role that grants
// it: authority appears last.
func (c SetupConfig) agents(ctx context.Context, p *preparer) error {
	if err := p.authMount(ctx, c.JWTMount, "jwt"); err != nil {
		return err
	}
	err := p.object(ctx, object{
		name: "configuration of auth/" + c.JWTMount, path: c.jwtConfigPath(),
		want: c.jwtConfig(),
		keep: []string{"jwks_ca_pem", "default_role"}, // a write replaces the whole configuration
	})
	if err != nil {
		return err
	}
	if err := p.kvMount(ctx, c.KVMount); err != nil {
		return err
	}
	if err := p.policy(ctx, c.AgentPolicy(), agentsPolicy(c.KVMount)); err != nil {
		return err
	}
	return p.object(ctx, object{
		name: "role " + c.Role + " of auth/" + c.JWTMount, path: c.agentRolePath(),
		want: c.agentRole(),
	})
}

// jwtConfig is whose tokens the agents' mount takes.
func (c SetupConfig) jwtConfig() map[string]any {
	return map[string]any{
		"jwks_url":               c.JWKSURL,
		"bound_issuer":           c.Issuer,
		"jwt_supported_algs":     []string{"RS256"},
		"jwt_validation_pubkeys": []string{},
		"oidc_discovery_url":     "",
	}
}

// agentRole admits tokens of our audience that carry the agent_id claim, which
// only our Action sets. Whatever else could grant something is named as empty,
// so that a role that grew is cut back.
func (c SetupConfig) agentRole() map[string]any {
	return merge(roleTokens(c.AgentPolicy(), c.TokenTTL, c.TokenMaxTTL), map[string]any{
		"role_type":               "jwt",
		"user_claim":              "sub",
		"user_claim_json_pointer": false,
		"bound_audiences":         []string{c.Audience},
		"bound_claims_type":       "glob",
		"bound_claims":            map[string]string{c.Audience + "agent_id": "*"},
		"bound_subject":           "",
		"groups_claim":            "",
		"claim_mappings":          map[string]string{},
	})
}

// controlPlane prepares what Credence itself logs in with.
func (c SetupConfig) controlPlane(ctx context.Context, p *preparer) error {
	mounts, err := p.mounts(ctx, "sys/auth")
	if err != nil {
		return err
	}
	jwtAccessor := mounts[c.JWTMount+"/"].Accessor // "" in a dry run before the first run
	if err := p.authMount(ctx, c.AppRoleMount, "approle"); err != nil {
		return err
	}
	if err := p.policy(ctx, c.controlPlanePolicyName(), c.controlPlanePolicy(jwtAccessor)); err != nil {
		return err
	}
	return p.object(ctx, object{
		name: "AppRole " + c.AppRole, path: c.appRolePath(),
		want: merge(roleTokens(c.controlPlanePolicyName(), c.ControlPlaneTTL, c.ControlPlaneMaxTTL), map[string]any{
			"bind_secret_id": true,
		}),
	})
}

// roleTokens is what both roles say of the tokens that they give: one policy,
// short lives, and no way around them.
func roleTokens(policy string, ttl, maxTTL time.Duration) map[string]any {
	return map[string]any{
		"token_policies":          []string{policy},
		"token_no_default_policy": true,
		"token_ttl":               int64(ttl.Seconds()),
		"token_max_ttl":           int64(maxTTL.Seconds()),
		"token_explicit_max_ttl":  0,
		"token_period":            0, // a periodic token lives for ever
		"token_num_uses":          0,
		"token_type":              "default",
	}
}

func (c SetupConfig) jwtConfigPath() string   { return "auth/" + c.JWTMount + "/config" }
func (c SetupConfig) agentRolePath() string   { return "auth/" + c.JWTMount + "/role/" + c.Role }
func (c SetupConfig) agentPolicyPath() string { return aclPath(c.AgentPolicy()) }

func (c SetupConfig) appRolePath() string { return "auth/" + c.AppRoleMount + "/role/" + c.AppRole }

func (p *preparer) roleID(ctx context.Context, c SetupConfig) (string, error) {
	data, err := p.read(ctx, c.appRolePath()+"/role-id")
	if err != nil {
		return "", err
	}
	id, _ := data["role_id"].(string)
	if id == "" && !c.DryRun {
		return "", unavailable(fmt.Errorf("the answer holds no role id"))
	}
	return id, nil
}

func (p *preparer) secretID(ctx context.Context, c SetupConfig) (string, error) {
	secret, err := p.conn.send(ctx, p.token, request{
		op: "issue_secret_id", method: http.MethodPut, path: c.appRolePath() + "/secret-id", body: map[string]any{},
	})
	if err != nil {
		return "", err
	}
	if secret != nil {
		if id, _ := secret.Data["secret_id"].(string); id != "" {
			return id, nil
		}
	}
	return "", unavailable(fmt.Errorf("the answer holds no secret id"))
}

func (c SetupConfig) withDefaults() SetupConfig {
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.JWTMount = orDefault(c.JWTMount, DefaultJWTMount)
	c.KVMount = orDefault(c.KVMount, DefaultKVMount)
	c.AppRoleMount = orDefault(c.AppRoleMount, DefaultAppRoleMount)
	c.Role = orDefault(c.Role, DefaultRole)
	c.AppRole = c.appRole()
	c.TokenTTL = orDefault(c.TokenTTL, DefaultTokenTTL)
	c.TokenMaxTTL = orDefault(c.TokenMaxTTL, DefaultTokenMaxTTL)
	c.ControlPlaneTTL = orDefault(c.ControlPlaneTTL, defaultControlPlaneTTL)
	c.ControlPlaneMaxTTL = orDefault(c.ControlPlaneMaxTTL, defaultControlPlaneMaxTTL)
	if c.Database != nil {
		d := c.Database.withDefaults()
		c.Database = &d
	}
	return c
}

func (c SetupConfig) validate() error {
	switch {
	case c.Token == "":
		return invalid("the operator's token is missing")
	case c.Issuer == "":
		return invalid("the issuer of the agents' tokens is missing")
	case c.Audience == "" || strings.HasPrefix(c.Audience, "/"): // which would make the claim a JSON pointer
		return invalid("the audience of the agents' tokens must be a URL such as https://mcp.example.com/")
	case c.AgentPolicy() == c.controlPlanePolicyName() || c.AgentPolicy() == c.DatabasePolicy():
		return invalid("the role %s would have another one's policy", c.Role)
	}
	err := firstError(
		validPath("JWT mount", c.JWTMount), validPath("KV mount", c.KVMount), validPath("AppRole mount", c.AppRoleMount),
		validRole("role", c.Role), validRole("AppRole", c.AppRole),
		validAddress("JWKS URL", c.JWKSURL, c.AllowPlaintext),
		validTTL("token", c.TokenTTL, c.TokenMaxTTL), validTTL("control plane token", c.ControlPlaneTTL, c.ControlPlaneMaxTTL))
	if err != nil || c.Database == nil {
		return err
	}
	return c.Database.validate(c.DryRun)
}

// validTTL wants whole seconds, because the store rounds to them.
func validTTL(what string, ttl, maxTTL time.Duration) error {
	if ttl < time.Second || ttl > maxTTL || ttl%time.Second != 0 || maxTTL%time.Second != 0 {
		return invalid("the %s's lifetimes %s and %s must be whole seconds, the second at least the first", what, ttl, maxTTL)
	}
	return nil
}
