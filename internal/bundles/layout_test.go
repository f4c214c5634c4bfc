package bundles_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
)

// What layout 2 says to the nanosecond, layout 1 has no words for: its policy
// would open the agent after its time and take tokens that were revoked.
func TestInvariant_B2_AnAgentThatALayoutCannotExpressIsShutInIt(t *testing.T) {
	t.Parallel()
	const tail = `"labels":{}}`
	open1, shut1 := `{"id":"","name":"","team":"","agent_type":"","suspended":false,`+tail, `{"id":"","name":"","team":"","agent_type":"","suspended":true,`+tail
	record2 := func(said string) string {
		return `{"id":"","name":"","team":"","agent_type":"","suspended":false,` + said + "," + tail
	}
	second := time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	for name, row := range map[string]struct {
		agent            registry.AgentFacts
		layout1, layout2 string
	}{
		"neither":              {registry.AgentFacts{}, open1, record2(`"scopes":[],"expires_at":null,"valid_after":null`)},
		"suspended already":    {registry.AgentFacts{Suspended: true, ExpiresAt: second}, shut1, `{"id":"","name":"","team":"","agent_type":"","suspended":true,"scopes":[],"expires_at":1770087906000000000,"valid_after":null,` + tail},
		"expires":              {registry.AgentFacts{ExpiresAt: second}, shut1, record2(`"scopes":[],"expires_at":1770087906000000000,"valid_after":null`)},
		"expires in UTC":       {registry.AgentFacts{ExpiresAt: second.UTC()}, shut1, record2(`"scopes":[],"expires_at":1770087906000000000,"valid_after":null`)},
		"tokens revoked":       {registry.AgentFacts{ValidAfter: second.Add(123456 * time.Microsecond)}, shut1, record2(`"scopes":[],"expires_at":null,"valid_after":1770087906123456000`)},
		"in 1970":              {registry.AgentFacts{ExpiresAt: time.Unix(0, 0), ValidAfter: time.Unix(0, 1)}, shut1, record2(`"scopes":[],"expires_at":0,"valid_after":1`)},
		"before 1970":          {registry.AgentFacts{ExpiresAt: time.Unix(-1, 0)}, shut1, record2(`"scopes":[],"expires_at":-1000000000,"valid_after":null`)},
		"beyond all clocks":    {registry.AgentFacts{ExpiresAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}, shut1, record2(`"scopes":[],"expires_at":9223372036854775807,"valid_after":null`)},
		"at the end of clocks": {registry.AgentFacts{ExpiresAt: time.Unix(0, math.MaxInt64)}, shut1, record2(`"scopes":[],"expires_at":9223372036854775807,"valid_after":null`)},
		"before all clocks":    {registry.AgentFacts{ExpiresAt: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)}, shut1, record2(`"scopes":[],"expires_at":-9223372036854775808,"valid_after":null`)},
		"scopes are a set":     {registry.AgentFacts{Scopes: []string{"b", "a", "c", "a"}}, open1, record2(`"scopes":["a","b","c"],"expires_at":null,"valid_after":null`)},
	} {
		for layout, want := range map[int64]string{1: row.layout1, 2: row.layout2} {
			got, err := json.Marshal(bundles.Agent(layout, row.agent))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("%s in layout %d (-want +got):\n%s", name, layout, diff)
			}
		}
	}
}
