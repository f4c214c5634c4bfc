// Package schemas holds the JSON Schemas (draft 2020-12) of the documents that
// clients send. They are generated from openapi.yaml by api/genschema, and
// internal/schema validates with them.
package schemas

import "embed"

// FS holds one <document>.schema.json per document.
//
//go:embed *.schema.json
var FS embed.FS
