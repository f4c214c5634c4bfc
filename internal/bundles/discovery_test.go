package bundles_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// An OPA's own configuration names the service, the keys and this bundle; the rest is
// here.
func TestDiscoveryIsTheRestOfAnOPAsConfiguration(t *testing.T) {
	t.Parallel()
	v := snapshot.New(small().Facts())
	const polling = `"polling":{"long_polling_timeout_seconds":30,"max_delay_seconds":5,"min_delay_seconds":1,"superseded_etag_ttl_seconds":60}`
	key := parseKey(t, edKey())
	signing := func(scope string) string {
		return fmt.Sprintf(`,"signing":{"keyid":%q,"scope":%q}`, key.KeyID(), scope)
	}
	for _, tt := range []struct {
		name string
		keys *bundles.Keys
		want string
	}{
		{"unsigned", nil, `{"bundles":{"credence":{"persist":false,` + polling + `,"resource":"bundles/production","service":"credence"}},"default_decision":"/mcp/authz/decision"}`},
		{
			"signed", openKeys(t, map[string][]byte{"default.pem": edKey()}),
			`{"bundles":{"credence":{"persist":false,` + polling + `,"resource":"bundles/production","service":"credence"` + signing("production") +
				`}},"default_decision":"/mcp/authz/decision"}`,
		},
	} {
		b := made(t, bundles.NewMaker(bundles.MakerOptions{Keys: tt.keys}), v, of("production", bundles.Discovery))
		if diff := cmp.Diff(tt.want, files(t, b)["data.json"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// An OPA that loads parts is told of each where it is and what it must be signed as.
// Of keys no configuration says anything.
func TestDiscoveryOfPartsListsEachPart(t *testing.T) {
	t.Parallel()
	type source struct {
		Service, Resource string
		Signing           struct{ KeyID, Scope string }
	}
	key, want := parseKey(t, rsaKey()), map[string]source{}
	for _, part := range registry.Parts {
		s := source{Service: "credence", Resource: "bundles/production/parts/" + part}
		s.Signing.KeyID, s.Signing.Scope = key.KeyID(), "production/"+part
		want["credence-"+part] = s
	}
	maker := bundles.NewMaker(bundles.MakerOptions{Keys: openKeys(t, map[string][]byte{"production.pem": rsaKey()})})
	b := made(t, maker, snapshot.New(small().Facts()), of("production", bundles.DiscoveryOfParts))
	expectManifest(t, readByOPA(t, b), b.Tag, "bundles", "default_decision")
	var got struct{ Bundles map[string]source }
	if err := json.Unmarshal([]byte(files(t, b)["data.json"]), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Bundles); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(files(t, b)["data.json"], `"keys"`) {
		t.Error("the configuration has keys")
	}
}
