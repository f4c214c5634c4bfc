// Package api is the HTTP contract of the control plane in Go: the request and
// response types and the server interface that openapi.yaml describes.
//
// api.gen.go and schemas/*.json are generated; edit openapi.yaml and run
// "make generate".
package api

//go:generate oapi-codegen -config oapi-codegen.yaml ../openapi.yaml
//go:generate go run ./genschema
