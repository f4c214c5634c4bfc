package bundles

import (
	"encoding/json"
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// The types below are the data layouts: what the platform policy reads below
// data.registry. They differ in the agents' records alone. A change of what is
// read is another layout.

type metaRecord struct {
	Scope    string `json:"scope"`
	Epoch    string `json:"epoch"`
	Revision int64  `json:"revision"`
	Layout   int64  `json:"layout"`
}

type environmentRecord struct {
	Name         string `json:"name"`
	Grants       string `json:"grants"`
	MaxStaleness string `json:"max_staleness"`
}

type resourceRecord struct {
	Type                registry.ResourceType `json:"type"`
	Team                string                `json:"team"`
	DataClassification  string                `json:"data_classification"`
	RequiredPermissions []string              `json:"required_permissions"`
	Access              accessRecord          `json:"access"`
	Environments        []string              `json:"environments"`
	Labels              map[string]string     `json:"labels"`
}

type accessRecord struct {
	Visibility string   `json:"visibility"`
	Teams      []string `json:"teams"`
	AgentTypes []string `json:"agent_types"`
}

func resourceRecordOf(r registry.ResourceFacts) resourceRecord {
	return resourceRecord{
		Type: r.Type, Team: r.Team, DataClassification: r.DataClassification, RequiredPermissions: list(r.RequiredPermissions),
		Access:       accessRecord{Visibility: r.Access.Visibility, Teams: list(r.Access.Teams), AgentTypes: list(r.Access.AgentTypes)},
		Environments: list(r.Environments), Labels: labels(r.Labels),
	}
}

func environmentRecordOf(e registry.EnvironmentFacts) environmentRecord {
	return environmentRecord{Name: e.Name, Grants: e.Grants, MaxStaleness: e.MaxStaleness}
}

// list and labels keep absent values from becoming null: a rule that reads null
// for a list does not match, and a denial that does not match is none.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func labels(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// encodeShard is a shard's document: records by key. encoding/json sorts keys,
// so equal shards give equal bytes.
func encodeShard[V any](s *snapshot.Shard[V], record func(V) any) ([]byte, error) {
	records := make(map[string]any, s.Len())
	for key, v := range s.All() {
		records[key] = record(v)
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, fmt.Errorf("encode a shard: %w", err)
	}
	return b, nil
}

// Resource returns what policy reads of a resource, in every layout of bundles.
func Resource(r registry.ResourceFacts) any { return resourceRecordOf(r) }

// Environment returns what policy reads of an environment, in every layout of
// bundles.
func Environment(e registry.EnvironmentFacts) any { return environmentRecordOf(e) }

// Meta returns what policy reads of the bundle itself, in the layout of bundles.
func Meta(t Tag, layout int64) any {
	return metaRecord{Scope: t.Scope, Epoch: t.Epoch, Revision: t.Revision, Layout: layout}
}
