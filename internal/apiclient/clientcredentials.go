package apiclient

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// TokenRequest asks a token endpoint for an access token by the client's own
// credentials (RFC 6749 section 4.4), in the manner of Auth0: the secret in the
// body, an audience beside it.
type TokenRequest struct {
	Endpoint     string // https; http on loopback only
	ClientID     string
	ClientSecret string
	Audience     string // "" leaves it to the endpoint
}

// Token is an access token as the endpoint answered it.
type Token struct {
	AccessToken string          `json:"access_token"`
	TokenType   string          `json:"token_type"`
	ExpiresIn   int64           `json:"expires_in"` // seconds
	JSON        json.RawMessage `json:"-"`          // the whole answer
}

// OAuthError is the refusal of a token endpoint (RFC 6749 section 5.2). It is of
// the kind that its status has in the API. An answer that is none has no Code.
type OAuthError struct {
	Status      int
	Code        string // such as invalid_client
	Description string
	RetryAfter  time.Duration
}

func (e *OAuthError) Error() string {
	line := cmp.Or(e.Description, http.StatusText(e.Status), "no reason given")
	return fmt.Sprintf("the token endpoint refused: %s (%s)", line, cmp.Or(e.Code, "HTTP status "+strconv.Itoa(e.Status)))
}

// Kind returns what the status means to the caller; "" when it is a fault of
// the endpoint's.
func (e *OAuthError) Kind() registry.Kind { return kinds[e.Status] }

// Is reports whether target is the kind of the refusal.
func (e *OAuthError) Is(target error) bool { return e.Kind() != "" && target == error(e.Kind()) }

// ClientCredentials gets an access token. URL and Token of o do not count here;
// the other options do. It sends the request once.
//
// It returns an *OAuthError when the endpoint refuses and Unavailable when it
// cannot be reached. No error holds the secret.
func ClientCredentials(ctx context.Context, o Options, r TokenRequest) (Token, error) {
	endpoint, err := secureURL(r.Endpoint)
	if err != nil {
		return Token{}, fmt.Errorf("the token endpoint: %w", err)
	}
	httpClient, err := o.trusting()
	if err != nil {
		return Token{}, err
	}
	defer httpClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Timeout, DefaultTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(r.form().Encode()))
	if err != nil {
		return Token{}, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", cmp.Or(o.UserAgent, "credence"))
	resp, err := httpClient.Do(req)
	if err != nil {
		return Token{}, unreachable(ctx, err, endpoint)
	}
	defer resp.Body.Close()
	body, err := readAnswer(ctx, resp, endpoint)
	if err != nil {
		return Token{}, err
	}
	return tokenOf(resp, body)
}

func (r TokenRequest) form() url.Values {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}, "client_secret": {r.ClientSecret}}
	if r.Audience != "" {
		form.Set("audience", r.Audience)
	}
	return form
}

func tokenOf(resp *http.Response, body []byte) (Token, error) {
	if resp.StatusCode != http.StatusOK {
		return Token{}, oauthErrorOf(resp, body)
	}
	t := Token{JSON: body}
	if err := json.Unmarshal(body, &t); err != nil || t.AccessToken == "" {
		return Token{}, errors.New("the answer of the token endpoint holds no access token; is this its address?")
	}
	return t, nil
}

func oauthErrorOf(resp *http.Response, body []byte) *OAuthError {
	e := &OAuthError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	var doc struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &doc) == nil {
		e.Code, e.Description = doc.Code, doc.Description
	}
	if e.Code == "" && resp.StatusCode/100 == 3 {
		e.Description = "it redirects, and a redirect is not followed with a secret"
	}
	return e
}
