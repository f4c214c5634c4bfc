package emulator_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// minReplayed is how many interactions must be replayed, lest the test shrinks
// unseen.
const minReplayed = 60

// inScope are the resources that the emulator is about; recordings touch others
// on the way (organizations, connections, roles).
var inScope = regexp.MustCompile(`^(clients|client-grants|resource-servers|actions)(/|$)`)

// leftOut says which recorded requests are not replayed, and why. A request that
// needs an object which a left-out request made is left out too.
var leftOut = []struct {
	recording, kind *regexp.Regexp
	why             string
}{
	{regexp.MustCompile(`(TLSClientAuth|SelfSignedTLSClientAuth)_Credential$`), regexp.MustCompile(`clients/\{id\}/credentials`), "nobody reads the details of credentials for mutual TLS"},
	{all, regexp.MustCompile(`clients/\{id\}/connections`), "there are no connections: nobody logs in"},
	{all, regexp.MustCompile(`clients/cimd/register`), "client ID metadata documents are not emulated"},
	{all, regexp.MustCompile(`client-grants/\{id\}/organizations`), "there are no organizations"},
	{all, regexp.MustCompile(`actions/executions`), "executions are not kept: no login runs an Action"},
	{all, regexp.MustCompile(`actions/actions/\{id\}/test`), "a dry run of a post-login Action needs a user"},
	{regexp.MustCompile(`^TestResourceServer_(ACR|ExpressConfiguration)$`), all, "system APIs that Auth0 fills in by itself"},
	{regexp.MustCompile(`^TestClient_MyOrganizationConfiguration$`), regexp.MustCompile(`^POST clients$`), "profiles of organizations are not checked"},
	{regexp.MustCompile(`^TestOrganizationManager_ClientGrantsWithOrg$`), regexp.MustCompile(`^GET clients$`), "the q filter is about organizations"},
}

var all = regexp.MustCompile(``)

// readByAdapter are the keys that the adapter reads, by kind of request. Values
// of those with = must equal the recorded ones too; the others are generated or
// depend on time.
var readByAdapter = map[string][]string{
	"POST clients":                    {"client_id", "client_secret", "=name", "=client_metadata", "=grant_types", "=app_type", "=token_endpoint_auth_method"},
	"GET clients":                     {"clients[].client_id", "total"},
	"GET clients/{id}":                {"client_id", "=name", "=client_metadata", "=grant_types", "=app_type", "=token_endpoint_auth_method"},
	"PATCH clients/{id}":              {"client_id", "=name", "=client_metadata", "=grant_types", "=app_type", "=token_endpoint_auth_method"},
	"POST clients/{id}/rotate-secret": {"client_id", "client_secret", "=name", "=grant_types"},

	"POST clients/{id}/credentials":       {"id", "=kid", "=alg", "=name", "=credential_type"},
	"GET clients/{id}/credentials":        {"[].id", "[].kid", "[].alg", "[].expires_at"},
	"GET clients/{id}/credentials/{id}":   {"id", "=kid", "=alg", "=name", "=credential_type", "=expires_at"},
	"PATCH clients/{id}/credentials/{id}": {"id", "=kid", "=alg", "=name", "=credential_type", "=expires_at"},

	"POST client-grants":       {"id", "=client_id", "=audience", "=scope"},
	"GET client-grants":        {"client_grants[].id", "client_grants[].client_id", "client_grants[].audience", "client_grants[].scope", "total"},
	"GET client-grants/{id}":   {"id", "=client_id", "=audience", "=scope"},
	"PATCH client-grants/{id}": {"id", "=client_id", "=audience", "=scope"},

	"POST resource-servers":       {"id", "=identifier", "=name", "=scopes", "=enforce_policies", "=token_dialect", "=token_lifetime"},
	"GET resource-servers":        {"resource_servers[].id", "resource_servers[].identifier", "total"},
	"GET resource-servers/{id}":   {"id", "=identifier", "=name", "=scopes", "=enforce_policies", "=token_dialect", "=token_lifetime"},
	"PATCH resource-servers/{id}": {"id", "=identifier", "=name", "=scopes", "=enforce_policies", "=token_dialect", "=token_lifetime"},

	"POST actions/actions":                           {"id", "=name", "=status", "=supported_triggers", "=code"},
	"GET actions/actions":                            {"actions[].id", "actions[].name", "actions[].status", "actions[].supported_triggers", "actions[].code", "total"},
	"GET actions/actions/{id}":                       {"id", "=name", "status", "=supported_triggers", "=code"},
	"PATCH actions/actions/{id}":                     {"id", "=name", "=status", "=supported_triggers", "=code"},
	"POST actions/actions/{id}/deploy":               {"id", "=number", "=status", "=deployed", "=code"},
	"GET actions/triggers":                           {"triggers[].id", "triggers[].version", "triggers[].status"},
	"GET actions/triggers/{trigger}/bindings":        {"bindings[].id", "bindings[].action.id", "bindings[].action.name", "bindings[].trigger_id", "=total"},
	"PATCH actions/triggers/{trigger}/bindings":      {"bindings[].id", "bindings[].action.id", "bindings[].action.name", "bindings[].trigger_id"},
	"GET actions/actions/{id}/versions":              {"versions[].id", "versions[].number", "=total"},
	"GET actions/actions/{id}/versions/{id}":         {"id", "=number", "=status", "=deployed"},
	"POST actions/actions/{id}/versions/{id}/deploy": {"id", "=number", "=status", "=deployed"},
}

// TestConformance replays what a real tenant was asked against a fresh emulator
// for each recording and compares the answers: the same status, every key that
// the adapter reads, and no key that no recorded answer of the kind has.
func TestConformance(t *testing.T) {
	t.Parallel()
	recordings := readRecordings(t)
	known := knownKeys(recordings)
	replayed, omitted := map[string]int{}, map[string]int{}
	for _, rec := range recordings {
		p := &player{recording: rec, known: known, ids: map[string]string{}, replayed: replayed, omitted: omitted}
		p.play(t)
	}

	total := 0
	for _, kind := range slices.Sorted(maps.Keys(replayed)) {
		t.Logf("%4d  %s", replayed[kind], kind)
		total += replayed[kind]
	}
	for _, why := range slices.Sorted(maps.Keys(omitted)) {
		t.Logf("%4d left out: %s", omitted[why], why)
	}
	t.Logf("replayed %d recorded interactions", total)
	if total < minReplayed {
		t.Errorf("replayed %d interactions, want at least %d", total, minReplayed)
	}
}

// knownKeys collects the keys of all good answers by kind of request.
func knownKeys(recordings []recording) map[string][]string {
	known := map[string][]string{}
	for _, rec := range recordings {
		for _, i := range rec.interactions {
			if i.succeeded() {
				known[i.kind()] = append(known[i.kind()], keyPaths(decode(i.Response.Body))...)
			}
		}
	}
	return known
}

// player replays one recording.
type player struct {
	recording
	known             map[string][]string
	tenant            *tenant
	ids               map[string]string // recorded id → ours
	unavailable       []string          // recorded ids of objects that left-out requests made
	replayed, omitted map[string]int
}

func (p *player) play(t *testing.T) {
	t.Helper()
	for n, i := range p.interactions {
		if !inScope.MatchString(i.resource()) {
			continue
		}
		if why := p.reasonToOmit(i); why != "" {
			p.omitted[why]++
			pairIDs(decode(i.Response.Body), decode(i.Response.Body), func(recorded, _ string) {
				if _, ours := p.ids[recorded]; !ours {
					p.unavailable = append(p.unavailable, recorded)
				}
			})
			continue
		}
		if p.tenant == nil {
			p.tenant = newTenant(t, options{})
		}
		status, body := p.send(t, i)
		if fault := p.compare(i, status, body); fault != "" {
			t.Errorf("%s, interaction %d, %s: %s", p.name, n, i.kind(), fault)
		}
		p.replayed[i.kind()]++
	}
}

func (p *player) reasonToOmit(i interaction) string {
	for _, l := range leftOut {
		if l.recording.MatchString(p.name) && l.kind.MatchString(i.kind()) {
			return l.why
		}
	}
	if slices.ContainsFunc(p.unavailable, func(id string) bool {
		return strings.Contains(i.Request.URL, id) || strings.Contains(i.Request.Body, id)
	}) {
		return "needs an object of a left-out request"
	}
	return ""
}

// send repeats the request with our ids in place of the recorded ones.
func (p *player) send(t *testing.T, i interaction) (int, any) {
	t.Helper()
	u, err := url.Parse(i.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{}
	for recorded, ours := range p.ids {
		pairs = append(pairs, recorded, ours)
	}
	toOurs := strings.NewReplacer(pairs...)
	path := toOurs.Replace(strings.TrimPrefix(u.RequestURI(), "/api/v2/"))
	answer := p.tenant.manage(t, i.Request.Method, path, toOurs.Replace(strings.TrimSpace(i.Request.Body)))
	body := decode(answer.body)
	if i.Request.Method != http.MethodGet {
		pairIDs(decode(i.Response.Body), body, func(recorded, ours string) {
			if _, ok := p.ids[recorded]; !ok {
				p.ids[recorded] = ours
			}
		})
	}
	return answer.status, body
}

// compare returns what is wrong with our answer, or "".
func (p *player) compare(i interaction, status int, body any) string {
	recorded := decode(i.Response.Body)
	if status != i.Response.Code {
		return fmt.Sprintf("status %d, recorded %d; our body: %v", status, i.Response.Code, body)
	}
	if !i.succeeded() {
		return compareError(recorded, body)
	}
	ours, theirs := keyPaths(body), keyPaths(recorded)
	for _, key := range ours {
		if !slices.Contains(p.known[i.kind()], key) {
			return fmt.Sprintf("the key %s is in no recorded answer of the kind", key)
		}
	}
	keys, ok := readByAdapter[i.kind()]
	if !ok && body != nil {
		return "readByAdapter does not list the kind"
	}
	for _, key := range keys {
		name, sameValue := strings.CutPrefix(key, "=")
		switch {
		case !slices.Contains(theirs, name), emptyList(body, name):
		case !slices.Contains(ours, name):
			return fmt.Sprintf("the key %s is missing", name)
		case sameValue:
			if diff := cmp.Diff(p.mapIDs(recorded.(map[string]any)[name]), body.(map[string]any)[name]); diff != "" {
				return fmt.Sprintf("%s differs (-recorded +ours):\n%s", name, diff)
			}
		}
	}
	return ""
}

// emptyList reports whether key lies in a list that is empty in body: the
// recorded tenant held more than its recordings made.
func emptyList(body any, key string) bool {
	name, _, inList := strings.Cut(key, "[]")
	doc, _ := body.(map[string]any)
	list, ok := doc[name].([]any)
	return inList && ok && len(list) == 0
}

func (p *player) mapIDs(v any) any {
	if s, ok := v.(string); ok && p.ids[s] != "" {
		return p.ids[s]
	}
	return v
}

// compareError compares what is left of a recorded error: the recordings of
// clients and resource servers had their error bodies blotted out.
func compareError(recorded, ours any) string {
	theirs, ok := recorded.(map[string]any)
	if !ok || theirs["statusCode"] == nil {
		return ""
	}
	return cmp.Diff(recorded, ours)
}
