package apiclient

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// Claims decodes the claims of a JWT without verifying anything: to look at,
// never to decide by. It returns Invalid when the token is no JWT.
func Claims(token string) (json.RawMessage, error) {
	claims, err := payload(token)
	if err != nil {
		return nil, registry.Invalid.Wrap(err, "not_a_jwt", "the token is not a JWT, so it shows no claims")
	}
	return claims, nil
}

// payload returns the middle part of a JWS in compact form (RFC 7515 section
// 7.1).
func payload(token string) (json.RawMessage, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("it has %d parts, not 3", len(parts))
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("its middle part is not base64url")
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(decoded, &claims); err != nil || claims == nil {
		return nil, errors.New("its middle part is not a JSON object")
	}
	return decoded, nil
}
