package main

import "context"

// seed writes what CONTRACT promises of a dev system, through the API, as an
// admin would.
func (s *devStack) seed(ctx context.Context) error {
	done := s.tell.step("Two environments, an agent type, two resources")
	environment := map[string]any{"allowed_endpoints": []string{"127.0.0.0/8", "::1/128"}}
	scopes := []string{"skills:invoke", "data:read", "data:write"}
	documents := []struct {
		path string
		body any
	}{
		{"/environments/production", environment},
		{"/environments/staging", environment},
		{"/agent-types/support", map[string]any{
			"schema": map[string]any{
				"type":       "object",
				"properties": map[string]any{"max_tickets_per_hour": map[string]any{"type": "integer", "minimum": 1}},
			},
			"default_scopes": scopes, "allowed_scopes": scopes, "allowed_environments": []string{"production", "staging"},
			"default_quota": map[string]any{"requests_per_second": 10, "requests_per_day": 10_000},
			"max_quota":     map[string]any{"requests_per_second": 100, "requests_per_day": 1_000_000},
		}},
		{"/resources/" + demoSkill, map[string]any{
			"type": "skill", "team": "platform", "description": "Greets whoever calls", "data_classification": "low",
			"access":      map[string]any{"visibility": "organization"},
			"deployments": deployments("http://127.0.0.1:9101"),
			"operations":  []any{map[string]any{"name": "say-hello", "method": "POST", "path": "/say-hello"}},
		}},
		{"/resources/" + demoSink, billing()},
	}
	for _, d := range documents {
		if err := (call{method: "PUT", url: s.info.API + d.path, bearer: s.info.AdminToken, json: d.body}).must(ctx, nil); err != nil {
			return err
		}
	}
	done()
	return nil
}

// billing is a resource whose owner admits only its own team and the given ones.
func billing(teams ...string) map[string]any {
	return map[string]any{
		"type": "data_sink", "team": "finance", "description": "Takes invoices", "data_classification": "restricted",
		"access":      map[string]any{"visibility": "team", "teams": append([]string{}, teams...)},
		"deployments": deployments("http://127.0.0.1:9102"),
	}
}

func deployments(endpoint string) map[string]any {
	at := map[string]any{"endpoint": endpoint}
	return map[string]any{"production": at, "staging": at}
}
