package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/credenceproject/credence/api"
)

// What the story is about: an agent, where it lives, what it may call and what it
// may not.
const (
	demoAgent       = "demo-agent"
	demoEnvironment = "production"
	demoSkill       = "hello-skill"
	demoSink        = "billing-system"
)

// story shows what a registration brings about. Every line that it tells comes
// from the answer of a real program; an answer that it did not expect ends it.
func (s *devStack) story(ctx context.Context) error {
	r, err := s.tellRegistration(ctx)
	if err != nil {
		return err
	}
	token, err := s.tellToken(ctx, r)
	if err != nil {
		return err
	}
	if err := s.tellSecrets(ctx, r, token); err != nil {
		return err
	}
	if err := s.tellOtherDoors(ctx, token); err != nil {
		return err
	}
	return s.tellDecisions(ctx, token)
}

func (s *devStack) tellRegistration(ctx context.Context) (api.RegisteredAgent, error) {
	var r api.RegisteredAgent
	s.tell.title("A developer registers an agent: POST /agents")
	registration := map[string]any{
		"name": demoAgent, "team": devTeam, "agent_type": "support", "environment": demoEnvironment,
		"owner": "ana@example.com", "description": "Sorts incoming tickets", "config": map[string]any{"max_tickets_per_hour": 200},
	}
	if err := (call{method: "POST", url: s.info.API + "/agents", bearer: s.info.DeveloperToken, json: registration}).must(ctx, &r); err != nil {
		return r, err
	}
	s.tell.fact("201 Created", fmt.Sprintf("agent %s, revision %d", r.Agent.ID, r.Agent.Revision))
	for _, c := range r.Agent.Conditions {
		s.tell.fact(string(c.Type), string(c.Status))
	}
	s.tell.fact("client_id", r.Credentials.ClientID)
	s.tell.fact("client_secret", fmt.Sprintf("%d characters, shown once and stored nowhere", len(deref(r.Credentials.ClientSecret))))
	return r, nil
}

func (s *devStack) tellToken(ctx context.Context, r api.RegisteredAgent) (string, error) {
	s.tell.title("The agent gets its token: POST " + r.Credentials.TokenEndpoint)
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	err := call{method: "POST", url: r.Credentials.TokenEndpoint, form: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {r.Credentials.ClientID},
		"client_secret": {deref(r.Credentials.ClientSecret)}, "audience": {r.Credentials.Audience},
	}}.must(ctx, &answer)
	if err != nil {
		return "", err
	}
	claims, err := claimsOf(answer.AccessToken)
	if err != nil {
		return "", err
	}
	names := []string{"sub", "aud", "permissions"}
	for _, claim := range []string{"agent_id", "team", "agent_type", "environment"} {
		names = append(names, devAgentAudience+claim)
	}
	for _, name := range names {
		value, ok := claims[name]
		if !ok {
			return "", fmt.Errorf("the token lacks the claim %q", name)
		}
		s.tell.fact(name, fmt.Sprint(value))
	}
	s.tell.fact("valid for", fmt.Sprintf("%d s", answer.ExpiresIn))
	return answer.AccessToken, nil
}

// claimsOf reads a token's claims, without verifying it.
func claimsOf(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token endpoint answered no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decode the token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("decode the token: %w", err)
	}
	return claims, nil
}

func (s *devStack) tellSecrets(ctx context.Context, r api.RegisteredAgent, token string) error {
	own := r.Vault.SecretPaths.Own + "/crm"
	others := "secret/data/mcp/agents/by-id/agent_of_somebody_else/crm"
	for path, key := range map[string]string{own: "the-agents-own-key", others: "somebody-elses-key"} {
		if err := (call{
			method: "POST", url: s.bao.Address + "/v1/" + path, vaultToken: s.bao.RootToken,
			json: map[string]any{"data": map[string]string{"api_key": key}},
		}).must(ctx, nil); err != nil {
			return err
		}
	}
	s.tell.title("With that token it logs in to Vault: POST " + r.Vault.Address + "/v1/" + r.Vault.AuthPath)
	var login struct {
		Auth struct {
			ClientToken   string `json:"client_token"`
			EntityID      string `json:"entity_id"`
			LeaseDuration int    `json:"lease_duration"`
		} `json:"auth"`
	}
	if err := (call{
		method: "POST", url: r.Vault.Address + "/v1/" + r.Vault.AuthPath, json: map[string]string{"role": r.Vault.Role, "jwt": token},
	}).must(ctx, &login); err != nil {
		return err
	}
	s.tell.fact("200 OK", fmt.Sprintf("as entity %s, for %d s", r.Agent.Secrets.Entity, login.Auth.LeaseDuration))

	var secret struct {
		Data struct {
			Data map[string]string `json:"data"`
		} `json:"data"`
	}
	read := call{method: "GET", url: s.bao.Address + "/v1/" + own, vaultToken: login.Auth.ClientToken}
	if err := read.must(ctx, &secret); err != nil {
		return err
	}
	s.tell.allowed("GET "+own, "api_key = "+secret.Data.Data["api_key"])
	read.url = s.bao.Address + "/v1/" + others
	status, err := read.do(ctx, nil)
	if err != nil {
		return err
	}
	if status != http.StatusForbidden {
		return fmt.Errorf("another agent's secret answered %d, want 403", status)
	}
	s.tell.denied("GET "+others, "403 permission denied")
	return nil
}

// tellOtherDoors shows that the agent's token opens nothing in the control plane.
func (s *devStack) tellOtherDoors(ctx context.Context, token string) error {
	s.tell.title("The agent's token opens nothing here: GET /agents")
	var problem api.Problem
	status, err := call{method: "GET", url: s.info.API + "/agents", bearer: token}.do(ctx, &problem)
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("the agent's token got %d from the control plane, want 401", status)
	}
	s.tell.denied("GET /agents", fmt.Sprintf("401 %s", problem.Code))
	return nil
}
