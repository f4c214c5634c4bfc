package schema

import "github.com/credenceproject/credence/internal/registry"

type teamDocument struct {
	MaxAgents *integer `json:"max_agents"`
	Blocked   bool     `json:"blocked"`
}

// Team checks and decodes the document of the team called name, and fills in the
// default of registry.NewTeam. It returns Invalid (invalid_team) with every fault.
func (v *Validator) Team(name string, data []byte) (registry.Team, error) {
	d, err := v.read(team, data)
	if err != nil {
		return registry.Team{}, err
	}
	d.checkName(name)
	var sent teamDocument
	if err := d.finish("invalid_team", "team", &sent); err != nil {
		return registry.Team{}, err
	}
	t := registry.NewTeam(name)
	t.Blocked = sent.Blocked
	if sent.MaxAgents != nil {
		t.MaxAgents = int64(*sent.MaxAgents)
	}
	return t, nil
}
