package schema

import (
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/endpoint"
	"github.com/credenceproject/credence/internal/registry"
)

// What an environment has when its document does not say.
const (
	defaultGrants       = "permissions"
	defaultMaxStaleness = "15m" // invariant B8
)

type environmentDocument struct {
	AllowedEndpoints []string `json:"allowed_endpoints"`
	Grants           string   `json:"grants"`
	MaxStaleness     string   `json:"max_staleness"`
	ReservedNames    []string `json:"reserved_names"`
}

// Environment checks and decodes the document of the environment called name,
// and fills in defaults: permissions grant, facts may be 15m old, and no
// endpoint is allowed. A MaxStaleness of zero means that facts are never too old.
// It returns Invalid (invalid_environment) with every fault.
func (v *Validator) Environment(name string, data []byte) (registry.Environment, error) {
	d, err := v.read(environment, data)
	if err != nil {
		return registry.Environment{}, err
	}
	d.checkName(name)
	for i, entry := range d.list("allowed_endpoints") {
		if err := endpoint.CheckEntry(entry); err != nil {
			d.faults.add("/allowed_endpoints/"+strconv.Itoa(i), "invalid_endpoint", "%s", err)
		}
	}
	if staleness, ok := d.fields["max_staleness"].(string); ok && !validStaleness(staleness) {
		d.faults.add("/max_staleness", "invalid_duration", "must be a duration such as 90s or 15m, or 0")
	}
	sent := environmentDocument{Grants: defaultGrants, MaxStaleness: defaultMaxStaleness}
	if err := d.finish("invalid_environment", "environment", &sent); err != nil {
		return registry.Environment{}, err
	}
	return registry.Environment{
		Name:             name,
		AllowedEndpoints: orEmpty(sent.AllowedEndpoints),
		Grants:           sent.Grants,
		MaxStaleness:     sent.MaxStaleness,
		ReservedNames:    orEmpty(sent.ReservedNames),
	}, nil
}

// validStaleness accepts the durations of time.ParseDuration that have no sign.
func validStaleness(s string) bool {
	_, err := time.ParseDuration(s)
	return err == nil && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "+")
}
