package schema

import (
	"encoding/json"
	"testing"
)

func TestIntegersAreThoseOfJSONSchema(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "-0.0": 0, "10": 10, "1e1": 10, "10.0": 10, "0.1e2": 10, "1e9": 1_000_000_000} {
		var got integer
		if err := json.Unmarshal([]byte(text), &got); err != nil || int64(got) != want {
			t.Errorf("%s = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0.5", "1e-1", "1e19", "9223372036854775808", `"1"`, "true"} {
		var got integer
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s = %d, want an error", text, got)
		}
	}
}
