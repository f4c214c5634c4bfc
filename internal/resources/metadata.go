package resources

import (
	"context"
	"slices"
	"strconv"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Metadata is what a gateway needs to know of a resource, at one state of the
// registry. Slices and maps in it are not to be changed.
type Metadata struct {
	registry.ResourceFacts
	Environment string // the one that was asked for; "" stands for all
	Epoch       string
}

// Tag identifies the metadata among all that there were or will be.
func (m Metadata) Tag() string {
	place := ""
	if m.Environment != "" {
		place = "@" + m.Environment
	}
	return m.Name + place + "." + m.Epoch + "." + strconv.FormatInt(m.Revision, 10)
}

// Metadata returns the metadata of the resource in an environment, or in all when
// environment is "". It touches no database, and answers while there is none.
//
// It returns NotFound when there is no such resource or it is not deployed there,
// and Unavailable before the registry was loaded for the first time.
func (s *Service) Metadata(_ context.Context, name, environment string) (Metadata, error) {
	view := s.snapshot.View()
	if view == nil {
		return Metadata{}, snapshot.NotLoaded()
	}
	facts, ok := view.Resources().Get(name)
	if !ok {
		return Metadata{}, notFound()
	}
	if environment != "" && !slices.Contains(facts.Environments, environment) {
		return Metadata{}, registry.NotFound.Errorf("not_deployed", "resource %q is not deployed in that environment", name)
	}
	return Metadata{ResourceFacts: facts, Environment: environment, Epoch: view.Head().Epoch}, nil
}
