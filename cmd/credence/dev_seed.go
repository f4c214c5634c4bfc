package main

import "context"

// seed writes what CONTRACT promises of a dev system, through the API, as an
// admin would.
func (s *devStack) seed(ctx context.Context) error {
	done := s.tell.step("Environments production and staging, agent type support")
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
	}
	for _, d := range documents {
		if err := (call{method: "PUT", url: s.info.API + d.path, bearer: s.info.AdminToken, json: d.body}).must(ctx, nil); err != nil {
			return err
		}
	}
	done()
	return nil
}
