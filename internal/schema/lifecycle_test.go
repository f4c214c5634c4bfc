package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/schema"
)

func TestLifecycleDocumentsAreDecodedWhole(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	wantDecoded(t, schema.Switch{Reason: "It leaked", RevokeTokens: true})(v.Switch([]byte(`{"reason": "It leaked", "revoke_tokens": true}`)))
	wantDecoded(t, schema.Switch{Reason: "It leaked"})(v.Switch([]byte(`{"reason": "It leaked"}`)))
	wantDecoded(t, schema.Transfer{Team: "platform", Owner: "ben@example.com", Reason: "Reorganised"})(
		v.Transfer([]byte(`{"team": "platform", "owner": "ben@example.com", "reason": "Reorganised"}`)))
	wantDecoded(t, schema.Rotation{})(v.Rotation(nil, world.Now))
	wantDecoded(t, schema.Rotation{})(v.Rotation([]byte(" \n"), world.Now))
	wantDecoded(t, schema.Rotation{})(v.Rotation([]byte(`{}`), world.Now))
	wantDecoded(t, schema.Rotation{
		Keys: json.RawMessage(publicKeys), ExpiresAt: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC), RevokeTokens: true,
	})(v.Rotation([]byte(`{"jwks": `+publicKeys+`, "credentials_expire_at": "2026-03-01T13:00:01+01:00", "revoke_tokens": true}`), world.Now))
	wantDecoded(t, "")(v.DriftRepair(nil))
	wantDecoded(t, "")(v.DriftRepair([]byte(`{}`)))
	wantDecoded(t, "support-triage")(v.DriftRepair([]byte(`{"agent": "support-triage"}`)))
	wantDecoded(t, "0197b8a0-0000-7000-8000-000000000001")(v.DriftRepair([]byte(`{"agent": "0197b8a0-0000-7000-8000-000000000001"}`)))
}

func wantDecoded[T any](t *testing.T, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	}
}

func TestLifecycleDocumentsReportEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	read := map[string]func([]byte) error{
		"switch":   func(data []byte) error { _, err := v.Switch(data); return err },
		"transfer": func(data []byte) error { _, err := v.Transfer(data); return err },
		"rotation": func(data []byte) error { _, err := v.Rotation(data, world.Now); return err },
		"repair":   func(data []byte) error { _, err := v.DriftRepair(data); return err },
	}
	for _, tc := range []struct {
		document, data string
		want           []fault
	}{
		{"switch", `{}`, []fault{{"/reason", "required"}}},
		{"switch", `{"reason": ""}`, []fault{{"/reason", "minLength"}}},
		{"switch", `{"reason": " \t"}`, []fault{{"/reason", "blank"}}},
		{"switch", `{"reason": "` + strings.Repeat("é", 513) + `"}`, []fault{{"/reason", "maxLength"}}},
		{"switch", `{"reason": 1, "revoke_tokens": "yes", "x": 1}`, []fault{{"/reason", "type"}, {"/revoke_tokens", "type"}, {"/x", "unknown_field"}}},
		{"switch", `[]`, []fault{{"", "type"}}},
		{"transfer", `{}`, []fault{{"/owner", "required"}, {"/reason", "required"}, {"/team", "required"}}},
		{"transfer", `{"team": "A", "owner": "", "reason": " "}`, []fault{{"/owner", "minLength"}, {"/reason", "blank"}, {"/team", "pattern"}}},
		{"rotation", `{"jwks": {}, "credentials_expire_at": "2026-03-01T12:00:00Z"}`, []fault{
			{"/credentials_expire_at", "not_in_future"}, {"/jwks/keys", "malformed"},
		}},
		{"rotation", `{"jwks": ` + weakKeys + `, "x": 1}`, []fault{{"/jwks/keys/0/n", "weak_key"}, {"/x", "unknown_field"}}},
		{"repair", `{"agent": "A B"}`, []fault{{"/agent", "invalid_name"}}},
		{"repair", `{"agents": []}`, []fault{{"/agents", "unknown_field"}}},
	} {
		t.Run(tc.document+" "+tc.data, func(t *testing.T) {
			t.Parallel()
			wantFaults(t, read[tc.document]([]byte(tc.data)), "invalid_"+tc.document, tc.want...)
		})
	}
}
