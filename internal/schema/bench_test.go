package schema_test

import "testing"

// BenchmarkRegistration is the whole way of a registration from bytes to a
// struct, with the config of a known agent type.
func BenchmarkRegistration(b *testing.B) {
	v := newValidator(b)
	data := edit(b, minimal, map[string]any{
		"scopes": []string{"skills:invoke", "data:read"},
		"config": map[string]any{"mode": "fast", "max_tickets_per_hour": 200},
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Registration(data, world); err != nil {
			b.Fatal(err)
		}
	}
}
