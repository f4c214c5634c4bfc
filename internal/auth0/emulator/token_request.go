package emulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// tokenRequest is what the token endpoint reads from a form or a JSON body.
type tokenRequest struct {
	grantType    string
	clientID     string
	clientSecret string
	assertion    string // of a client that has keys
	audience     string
	scope        []string
}

// parseTokenRequest reads the parameters, which may each occur once, and the
// client's credentials from one place.
func parseTokenRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	params, err := tokenParams(w, r)
	if err != nil {
		return tokenRequest{}, err
	}
	req := tokenRequest{
		grantType:    params["grant_type"],
		clientID:     params["client_id"],
		clientSecret: params["client_secret"],
		assertion:    params["client_assertion"],
		audience:     params["audience"],
		scope:        strings.Fields(params["scope"]),
	}
	if req.grantType == "" {
		return tokenRequest{}, invalidRequest("Missing required parameter: grant_type")
	}
	if err := req.readBasic(r); err != nil {
		return tokenRequest{}, err
	}
	if err := req.checkAssertion(params["client_assertion_type"]); err != nil {
		return tokenRequest{}, err
	}
	if req.clientID == "" && req.assertion == "" {
		return tokenRequest{}, invalidRequest("Missing required parameter: client_id")
	}
	return req, nil
}

// checkAssertion refuses an assertion of another type, and one beside a secret
// (RFC 7521 section 4.2).
func (t *tokenRequest) checkAssertion(typ string) error {
	switch {
	case t.assertion == "" && typ == "":
		return nil
	case t.assertion == "":
		return invalidRequest("Missing required parameter: client_assertion")
	case typ != assertionType:
		return invalidRequest("The client_assertion_type is not " + assertionType)
	case t.clientSecret != "":
		return invalidRequest("The client used two authentication methods.")
	}
	return nil
}

func invalidRequest(description string) *oauthError {
	return oauthErrorf(http.StatusBadRequest, "invalid_request", "%s", description)
}

// tokenParams reads the body as a form or as JSON, as Auth0 does.
func tokenParams(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	body, err := readBody(w, r, maxTokenBody)
	if err != nil {
		return nil, oauthErrorf(http.StatusRequestEntityTooLarge, "invalid_request", "The body is too large or could not be read.")
	}
	switch mediaType(r) {
	case "application/json":
		return jsonParams(body)
	case "application/x-www-form-urlencoded":
		return formParams(string(body))
	}
	return nil, invalidRequest("The body must be a form or JSON.")
}

func jsonParams(body []byte) (map[string]string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, invalidRequest("The body is not a JSON object.")
	}
	params := map[string]string{}
	for _, name := range tokenParamNames {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		var value *string
		if err := json.Unmarshal(raw, &value); err != nil || value == nil {
			return nil, invalidRequest("The parameter " + name + " is not a string.")
		}
		params[name] = *value
	}
	return params, nil
}

func formParams(body string) (map[string]string, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("The body is not a form.")
	}
	params := map[string]string{}
	for _, name := range tokenParamNames {
		switch given := values[name]; len(given) {
		case 0:
		case 1:
			params[name] = given[0]
		default:
			return nil, invalidRequest("The parameter " + name + " occurs twice.")
		}
	}
	return params, nil
}

// tokenParamNames are the parameters that count. OAuth has servers ignore all
// others.
var tokenParamNames = []string{"grant_type", "client_id", "client_secret", "client_assertion_type", "client_assertion", "audience", "scope"}

// readBasic takes the credentials from the Authorization header, where id and
// secret are form-encoded (RFC 6749, section 2.3.1). A client may not use two
// methods at once.
func (t *tokenRequest) readBasic(r *http.Request) error {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return nil
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil {
		return invalidRequest("The Authorization header is not form-encoded.")
	}
	if t.clientSecret != "" || (t.clientID != "" && t.clientID != id) {
		return invalidRequest("The client used two authentication methods.")
	}
	t.clientID, t.clientSecret = id, secret
	return nil
}
