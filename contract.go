// Package credence holds the contract of the control plane's API as a document.
// The server answers it at /openapi.yaml.
package credence

import _ "embed"

// OpenAPI is openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
