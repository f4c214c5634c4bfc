package emulator_test

import (
	"crypto/rsa"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

const bearerAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func userToken(audience, scopes string) emulator.UserToken {
	return emulator.UserToken{Subject: "somebody", Audience: audience, Scope: scopes}
}

func newEmulator(o options) (*emulator.Emulator, error) { return emulator.New(o) }

// measureLatencies checks how long each request takes by the fake clock.
func measureLatencies(t *testing.T, e *emulator.Emulator, want map[string]time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for what, d := range want {
			method, path, _ := strings.Cut(what, " ")
			began := time.Now()
			e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, "http://localhost/api/v2/"+path, nil))
			if took := time.Since(began); took != d {
				t.Errorf("%s took %v, want %v", what, took, d)
			}
		}
	})
}

// assertion signs claims; nil claims are left out.
func assertion(t testing.TB, key *rsa.PrivateKey, alg jose.SignatureAlgorithm, kid string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims = maps.Clone(claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func assertionForm(text string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "audience": {testAudience},
		"client_assertion_type": {bearerAssertion}, "client_assertion": {text},
	}
}

func TestAssertionsAreHeldToAuth0sRules(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now})
	tn.withAPI(t, "")
	id, credential := tn.keyAgent(t, "")
	tn.grantAll(t, id)
	kid := tn.must(t, "GET", "clients/"+id+"/credentials/"+credential, "")["kid"].(string)
	now := clock.now().Unix()
	for name, row := range map[string]struct {
		change map[string]any
		key    int
		alg    jose.SignatureAlgorithm
		kid    string
		status int
	}{
		"as documented":                 {status: 200},
		"with the kid of Auth0":         {kid: kid, status: 200},
		"with another kid":              {kid: "mine", status: 401},
		"of another key":                {key: 1, status: 401},
		"in another algorithm":          {alg: jose.PS256, status: 401},
		"in an algorithm of none":       {alg: jose.RS512, status: 401},
		"of another issuer":             {change: map[string]any{"iss": "other"}, status: 401},
		"without an issuer":             {change: map[string]any{"iss": nil}, status: 401},
		"about another client":          {change: map[string]any{"sub": "other"}, status: 401},
		"without a subject":             {change: map[string]any{"sub": nil}, status: 401},
		"for another audience":          {change: map[string]any{"aud": testAudience}, status: 401},
		"for the token endpoint":        {change: map[string]any{"aud": tn.url + "oauth/token"}, status: 401},
		"without the slash":             {change: map[string]any{"aud": strings.TrimSuffix(tn.url, "/")}, status: 401},
		"for several":                   {change: map[string]any{"aud": []string{"x", tn.url}}, status: 200},
		"without an audience":           {change: map[string]any{"aud": nil}, status: 401},
		"expired":                       {change: map[string]any{"exp": now}, status: 401},
		"without an end":                {change: map[string]any{"exp": nil}, status: 401},
		"of five minutes":               {change: map[string]any{"exp": now + 300}, status: 200},
		"of more than five minutes":     {change: map[string]any{"exp": now + 301}, status: 401},
		"of five minutes and old":       {change: map[string]any{"exp": now + 200, "iat": now - 101}, status: 401},
		"issued ten seconds from now":   {change: map[string]any{"iat": now + 10}, status: 200},
		"issued eleven seconds later":   {change: map[string]any{"iat": now + 11}, status: 401},
		"not valid for ten seconds":     {change: map[string]any{"nbf": now + 10}, status: 200},
		"not valid for eleven seconds":  {change: map[string]any{"nbf": now + 11}, status: 401},
		"without a jti":                 {change: map[string]any{"jti": nil}, status: 401},
		"with a jti of 65 characters":   {change: map[string]any{"jti": strings.Repeat("x", 65)}, status: 401},
		"longer than 2048 bytes":        {change: map[string]any{"more": strings.Repeat("x", 2048)}, status: 401},
		"with an end that is no number": {change: map[string]any{"exp": "soon"}, status: 401},
	} {
		claims := map[string]any{"iss": id, "sub": id, "aud": tn.url, "exp": now + 60, "jti": name}
		maps.Copy(claims, row.change)
		if row.alg == "" {
			row.alg = jose.RS256
		}
		a := tn.exchange(t, assertionForm(assertion(t, testKey(t, row.key), row.alg, row.kid, claims)))
		if a.status != row.status || (row.status == http.StatusUnauthorized && a.json(t)["error"] != "invalid_client") {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, row.status)
		}
	}
}

func TestAnAssertionIsTakenOnce(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now})
	tn.withAPI(t, "")
	id, _ := tn.keyAgent(t, "")
	tn.grantAll(t, id)
	claims := map[string]any{"iss": id, "sub": id, "aud": tn.url, "exp": clock.now().Unix() + 120, "jti": "once"}
	text := assertion(t, testKey(t, 0), jose.RS256, "", claims)
	forged := assertion(t, testKey(t, 1), jose.RS256, "", claims)
	if a := tn.exchange(t, assertionForm(forged)); a.status != http.StatusUnauthorized {
		t.Errorf("forged: %d %s", a.status, a.body)
	}
	for i, want := range []int{200, 401, 401} {
		clock.advance(50 * time.Second * time.Duration(i/2))
		if a := tn.exchange(t, assertionForm(text)); a.status != want {
			t.Errorf("use %d: %d %s, want %d", i+1, a.status, a.body, want)
		}
	}
	claims["exp"] = clock.now().Unix() + 250
	clock.advance(71 * time.Second) // the first one has expired: its jti may come again
	if a := tn.exchange(t, assertionForm(assertion(t, testKey(t, 0), jose.RS256, "", claims))); a.status != http.StatusOK {
		t.Errorf("the same jti later: %d %s", a.status, a.body)
	}
}

func TestOnlyKeysInUseAndInTimeCount(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now})
	tn.withAPI(t, "")
	id, first := tn.keyAgent(t, "")
	tn.grantAll(t, id)
	second := tn.must(t, "POST", "clients/"+id+"/credentials", newKeyBody(t, 1, `,"alg":"RS384"`))["id"].(string)
	uses := 0
	try := func(key int, alg jose.SignatureAlgorithm) int {
		uses++
		return tn.exchange(t, assertionForm(assertion(t, testKey(t, key), alg, "", map[string]any{
			"iss": id, "sub": id, "aud": tn.url, "exp": clock.now().Unix() + 60, "jti": fmt.Sprint(uses),
		}))).status
	}
	expect := func(when string, a, b int) {
		t.Helper()
		if got := [2]int{try(0, jose.RS256), try(1, jose.RS384)}; got != [2]int{a, b} {
			t.Errorf("%s: %v, want %v", when, got, [2]int{a, b})
		}
	}
	expect("one in use", 200, 401)
	tn.must(t, "PATCH", "clients/"+id, attach(first, second))
	expect("both in use", 200, 200)
	tn.must(t, "PATCH", "clients/"+id+"/credentials/"+first, fmt.Sprintf(`{"expires_at":%q}`, clock.now().Add(time.Second).Format(time.RFC3339Nano)))
	expect("before the first ends", 200, 200)
	clock.advance(time.Second)
	expect("when the first ends", 401, 200)
	tn.must(t, "PATCH", "clients/"+id+"/credentials/"+first, `{"expires_at":null}`)
	expect("without an end again", 200, 200)
	tn.must(t, "PATCH", "clients/"+id, attach())
	expect("none in use", 401, 401)
}

func TestAClientAuthenticatesInOneWay(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now})
	tn.withAPI(t, "")
	id, _ := tn.keyAgent(t, "")
	tn.grantAll(t, id)
	other, secret := tn.agent(t, "")
	tn.grantAll(t, other)
	made := 0
	form := func(client string, change url.Values) url.Values {
		made++
		f := assertionForm(assertion(t, testKey(t, 0), jose.RS256, "", map[string]any{
			"iss": client, "sub": client, "aud": tn.url, "exp": clock.now().Unix() + 60, "jti": fmt.Sprint(made),
		}))
		maps.Copy(f, change)
		return f
	}
	for name, row := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"an assertion beside its client's id":  {form(id, url.Values{"client_id": {id}}), 200, ""},
		"an assertion beside another id":       {form(id, url.Values{"client_id": {other}}), 401, "invalid_client"},
		"an assertion beside a secret":         {form(id, url.Values{"client_secret": {secret}}), 400, "invalid_request"},
		"an assertion of another type":         {form(id, url.Values{"client_assertion_type": {"saml"}}), 400, "invalid_request"},
		"an assertion without a type":          {form(id, url.Values{"client_assertion_type": nil}), 400, "invalid_request"},
		"a type without an assertion":          {form(id, url.Values{"client_assertion": nil}), 400, "invalid_request"},
		"an assertion of a client of secrets":  {form(other, nil), 401, "invalid_client"},
		"an assertion of nobody":               {form("nobody", nil), 401, "invalid_client"},
		"rubbish":                              {form(id, url.Values{"client_assertion": {"a.b.c"}}), 401, "invalid_client"},
		"a secret for a client that has keys":  {credentialsForm(id, secret, testAudience), 401, "access_denied"},
		"no secret for a client that has keys": {credentialsForm(id, "", testAudience), 401, "access_denied"},
	} {
		a := tn.exchange(t, row.form)
		if code, _ := a.json(t)["error"].(string); a.status != row.status || code != row.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, row.status, row.code)
		}
	}
	basic := tn.exchangeWith(t, form(id, nil).Encode(), "application/x-www-form-urlencoded", other, secret)
	if basic.status != http.StatusBadRequest {
		t.Errorf("an assertion beside Basic: %d %s", basic.status, basic.body)
	}
}
