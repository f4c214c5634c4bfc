package bundles

import (
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// The types below are the data layouts: what the platform policy reads below
// data.registry. A change of what is read is another layout. Layout 3 says of
// everything how current it is, and has layers; agents and resources are the same
// in both.

// metaRecord2 is what layout 2 says of the bundle.
type metaRecord2 struct {
	Scope    string `json:"scope"`
	Epoch    string `json:"epoch"`
	Revision int64  `json:"revision"`
	Layout   int64  `json:"layout"`
}

// metaRecord3 is what layout 3 says of the bundle, and of the part with the policy
// where there are parts.
type metaRecord3 struct {
	metaRecord2
	AsOf int64 `json:"as_of"` // nanoseconds since 1970
}

// partRecord is what layout 3 says of every other part.
type partRecord struct {
	Scope    string `json:"scope"` // the whole's
	Epoch    string `json:"epoch"`
	Revision int64  `json:"revision"`
	AsOf     int64  `json:"as_of"`
}

type environmentRecord2 struct {
	Name         string `json:"name"`
	Grants       string `json:"grants"`
	MaxStaleness string `json:"max_staleness"`
}

type environmentRecord3 struct {
	Name         string `json:"name"`
	Grants       string `json:"grants"`
	MaxStaleness *int64 `json:"max_staleness"` // nanoseconds, 0 for never too old; null is always
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

// Resource returns what policy reads of a resource, in every layout of bundles.
func Resource(r registry.ResourceFacts) any {
	return resourceRecord{
		Type: r.Type, Team: r.Team, DataClassification: r.DataClassification, RequiredPermissions: list(r.RequiredPermissions),
		Access:       accessRecord{Visibility: r.Access.Visibility, Teams: list(r.Access.Teams), AgentTypes: list(r.Access.AgentTypes)},
		Environments: list(r.Environments), Labels: labels(r.Labels),
	}
}

// Environment returns what policy reads of an environment, in the layout of
// bundles.
func Environment(layout int64, e registry.EnvironmentFacts) any {
	if layout == 2 {
		return environmentRecord2{Name: e.Name, Grants: e.Grants, MaxStaleness: e.MaxStaleness}
	}
	record := environmentRecord3{Name: e.Name, Grants: e.Grants}
	if most, err := time.ParseDuration(e.MaxStaleness); err == nil {
		ns := most.Nanoseconds()
		record.MaxStaleness = &ns
	}
	return record
}

// Meta returns what policy reads of the bundle itself, in the layout of bundles: of
// the whole, or of the part that has the policy. asOf is the database's time of the
// newest change that is in it.
func Meta(t Tag, layout int64, asOf time.Time) any {
	record := metaRecord2{Scope: t.Scope, Epoch: t.Epoch, Revision: t.Revision, Layout: layout}
	if layout == 2 {
		return record
	}
	return metaRecord3{metaRecord2: record, AsOf: stamp(asOf)}
}

// PartMeta returns what policy reads of a part that has data alone: from layout 3
// on it is at registry/parts/{part}.
func PartMeta(t Tag, asOf time.Time) any {
	return partRecord{Scope: t.Scope, Epoch: t.Epoch, Revision: t.Revision, AsOf: stamp(asOf)}
}

// stamp is asOf in nanoseconds since 1970. What was never current is too old.
func stamp(asOf time.Time) int64 {
	if ns := moment(asOf); ns != nil {
		return *ns
	}
	return 0
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

// set is s as a set: sorted, and never null. Equal sets give equal bytes.
func set(s []string) []string { return list(slices.Compact(slices.Sorted(slices.Values(s)))) }
