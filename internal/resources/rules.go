package resources

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/endpoint"
	"github.com/credenceproject/credence/internal/registry"
)

// environments are all that there are, by name. A name may be reserved in any.
type environments map[string]registry.Environment

// environmentPage is how many environments are read at once.
const environmentPage = 200

func (s *Service) environments(ctx context.Context) (environments, error) {
	all := environments{}
	for after := ""; ; {
		page, err := s.store.Environments(ctx, after, environmentPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			all[e.Name] = e
		}
		if len(page) < environmentPage {
			return all, nil
		}
		after = page[len(page)-1].Name
	}
}

// reserving returns the first environment that reserves the name.
func (all environments) reserving(name string) (environment string, ok bool) {
	for _, e := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(all[e].ReservedNames, name) {
			return e, true
		}
	}
	return "", false
}

// admit returns an error unless each deployment of r is in an environment that
// exists and at an endpoint that this environment allows (invariant A7): Invalid
// with every deployment that cannot be, or else Forbidden with every one that may
// not be.
func admit(r registry.Resource, all environments) error {
	var impossible, forbidden []registry.FieldError
	for _, name := range r.Environments() {
		pointer := "/deployments/" + name
		at, err := endpoint.Parse(r.Deployments[name].Endpoint)
		if err != nil {
			impossible = append(impossible, registry.FieldError{Pointer: pointer + "/endpoint", Code: "invalid_endpoint", Detail: err.Error()})
		}
		environment, known := all[name]
		switch {
		case !known:
			impossible = append(impossible, registry.FieldError{
				Pointer: pointer, Code: "unknown_environment", Detail: fmt.Sprintf("there is no environment %q", name),
			})
		case err == nil && !endpoint.ParseRules(environment.AllowedEndpoints).Allow(at):
			forbidden = append(forbidden, registry.FieldError{
				Pointer: pointer + "/endpoint", Code: "endpoint_not_allowed",
				Detail: fmt.Sprintf("environment %q does not allow this host and port", name),
			})
		}
	}
	if len(impossible) > 0 {
		return registry.Invalid.Errorf("invalid_resource", "the resource cannot be deployed as it says: see errors for each place and what is wrong there").
			With(impossible...)
	}
	if len(forbidden) > 0 {
		return registry.Forbidden.Errorf("endpoint_not_allowed", "an environment does not allow an endpoint of the resource; admins keep the lists").
			With(forbidden...)
	}
	return nil
}
