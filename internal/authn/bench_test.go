package authn

import (
	"fmt"
	"testing"
)

// BenchmarkAuthenticate is one request's cost: of a token that was verified
// before, and of one that was not.
func BenchmarkAuthenticate(b *testing.B) {
	change := map[string]any{testAudience + "teams": []string{"platform", "customer-success"}, "scope": "agents:read resources:read"}
	b.Run("cached", func(b *testing.B) {
		v := newBench(b)
		token := v.token(b, change)
		mustAuthenticate(b, v, token)
		b.ReportAllocs()
		for b.Loop() {
			mustAuthenticate(b, v, token)
		}
	})
	b.Run("cached_parallel", func(b *testing.B) {
		v := newBench(b)
		token := v.token(b, change)
		mustAuthenticate(b, v, token)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				mustAuthenticate(b, v, token)
			}
		})
	})
	b.Run("uncached", func(b *testing.B) {
		v := newBench(b, func(c *Config) { c.CacheSize = 1 })
		tokens := make([]string, 8) // each pushes the other out
		for i := range tokens {
			change["sub"] = fmt.Sprintf("auth0|%d", i)
			tokens[i] = v.token(b, change)
			mustAuthenticate(b, v, tokens[i])
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			mustAuthenticate(b, v, tokens[i%len(tokens)])
		}
	})
}
