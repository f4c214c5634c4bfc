package auth0

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// claimsTemplate is the Action's code with three literals to fill in.
//
//go:embed claims.js
var claimsTemplate string

// claimsCode is the JavaScript of the Action for an audience and an
// installation. The values become JSON literals, so none can become code.
func claimsCode(audience, managedBy string) (string, error) {
	var pairs []string
	for _, literal := range []struct {
		placeholder string
		value       any
	}{
		{`"AUDIENCE"`, audience},
		{`"MANAGED_BY"`, managedBy},
		{`["CLAIMS"]`, []string{metaAgentID, metaTeam, metaAgentType, metaEnvironment}},
	} {
		encoded, err := json.Marshal(literal.value)
		if err != nil {
			return "", fmt.Errorf("write the claims Action: %w", err)
		}
		pairs = append(pairs, literal.placeholder, string(encoded))
	}
	return strings.NewReplacer(pairs...).Replace(claimsTemplate), nil
}
