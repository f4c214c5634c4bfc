package httpapi

import (
	"github.com/open-policy-agent/opa/v1/ast"

	policygate "github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
)

// accept is the gate's word on a layer's module.
func accept(key registry.LayerKey, source string) (*ast.Module, error) {
	l, err := policygate.CompileLayer(key, source)
	if err != nil {
		return nil, err
	}
	return l.Module, nil
}
