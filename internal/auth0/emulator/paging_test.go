package emulator_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	for i := range 5 {
		appType := "non_interactive"
		if i == 4 {
			appType = "spa"
		}
		tn.must(t, "POST", "clients", fmt.Sprintf(`{"name":"c%d","app_type":%q}`, i, appType))
	}
	tests := []struct {
		name, query string
		names       []string
		total       any // nil: the answer is a bare array
	}{
		{"the default page", "", []string{"Credence (management)", "c0", "c1", "c2", "c3", "c4"}, nil},
		{"the second page", "page=1&per_page=2", []string{"c1", "c2"}, nil},
		{"with totals", "page=1&per_page=4&include_totals=true", []string{"c3", "c4"}, 6.0},
		{"behind the end", "page=9&include_totals=true", []string{}, 6.0},
		{"no page at all", "per_page=0&include_totals=true", []string{}, 6.0},
		{"of one type", "app_type=spa&include_totals=true", []string{"c4"}, 1.0},
		{"of two types", "app_type=spa,non_interactive&include_totals=true&per_page=1", []string{"Credence (management)"}, 6.0},
		{"of no type", "app_type=native", []string{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := tn.manage(t, "GET", "clients?"+tt.query, "").body
			list := []map[string]any{}
			if tt.total == nil {
				decodeInto(t, body, &list)
			} else {
				var doc struct {
					Total   any
					Clients []map[string]any
				}
				decodeInto(t, body, &doc)
				list = doc.Clients
				if doc.Total != tt.total {
					t.Errorf("total %v, want %v", doc.Total, tt.total)
				}
			}
			names := []string{}
			for _, c := range list {
				names = append(names, c["name"].(string))
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFieldsArePickedOrLeftOut(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, _ := tn.agent(t, "")
	picked := tn.must(t, "GET", "clients/"+id+"?fields=client_id,name&include_fields=true", "")
	if diff := cmp.Diff(map[string]any{"client_id": id, "name": "agent"}, picked); diff != "" {
		t.Errorf("picked (-want +got):\n%s", diff)
	}
	rest := tn.must(t, "GET", "clients/"+id+"?fields=client_id,name&include_fields=false", "")
	if rest["name"] != nil || rest["client_id"] != nil || rest["grant_types"] == nil {
		t.Errorf("left out: %v", rest)
	}
}

func TestGrantsAreFoundByClientAndAudience(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	tn.must(t, "POST", "resource-servers", `{"identifier":"urn:a,b"}`)
	id, _ := tn.agent(t, "")
	other, _ := tn.agent(t, "")
	tn.grantAll(t, other)
	want := tn.grantAll(t, id)
	tn.must(t, "POST", "client-grants", `{"client_id":"`+id+`","audience":"urn:a,b","scope":[]}`)
	var found []map[string]any
	decodeInto(t, tn.manage(t, "GET", "client-grants?client_id="+id+"&audience="+testAudience, "").body, &found)
	if len(found) != 1 || found[0]["id"] != want {
		t.Errorf("found %v, want the grant %s", found, want)
	}
	// An audience is one value, whatever it contains.
	decodeInto(t, tn.manage(t, "GET", "client-grants?audience=urn:a,b", "").body, &found)
	if len(found) != 1 || found[0]["audience"] != "urn:a,b" {
		t.Errorf("found %v", found)
	}
}

func decodeInto(t testing.TB, body string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
}
