package strictjson_test

import (
	"encoding/json"
	"testing"

	"github.com/credenceproject/credence/internal/strictjson"
)

var registration = []byte(`{
  "name": "support-triage", "team": "customer-success", "agent_type": "support", "environment": "production",
  "owner": "ana@example.com", "description": "Sorts incoming tickets",
  "scopes": ["skills:invoke", "data:read"],
  "capabilities": [{"name": "triage", "description": "Sorts a ticket", "input": {"type": "object"}, "output": {"type": "object"}}],
  "labels": {"cost-center": "cx-12"}, "config": {"max_tickets_per_hour": 200},
  "quota": {"requests_per_second": 10, "requests_per_day": 10000}
}`)

// BenchmarkCheck compares what strictness costs with what decoding costs anyway.
func BenchmarkCheck(b *testing.B) {
	b.Run("strictjson", func(b *testing.B) {
		b.SetBytes(int64(len(registration)))
		b.ReportAllocs()
		for b.Loop() {
			if err := strictjson.Check(registration); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.SetBytes(int64(len(registration)))
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := json.Unmarshal(registration, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
