package registrytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// Large is a registry of that size in one environment, production, as an
// organization's would look: for benchmarks. It is the same each time, but
// for when it was last touched.
func Large(agents, resources int) registry.Facts {
	r := rand.New(rand.NewPCG(1, 2))
	f := registry.Facts{
		Head:         registry.Head{Epoch: "00112233445566ff", Revision: int64(agents + resources + 2)},
		Scopes:       map[registry.ScopePart]registry.Touch{},
		Environments: []registry.EnvironmentFacts{{Name: "production", Grants: "permissions", MaxStaleness: "15m", ReservedNames: []string{}}},
		Policy:       Policy(1),
		Agents:       make([]registry.AgentFacts, agents),
		Resources:    make([]registry.ResourceFacts, resources),
		AgentClients: make([]string, agents),
	}
	for _, part := range append(allParts(), "") {
		f.Scopes[registry.ScopePart{Scope: "production", Part: part}] = registry.Touch{Revision: f.Revision, At: time.Now().UTC()}
	}
	for i := range f.Agents {
		f.AgentClients[i] = clientID(r)
		f.Agents[i] = registry.AgentFacts{
			ID: uuidOf(r), Name: fmt.Sprintf("agent-%d", i), Team: team(r), AgentType: fmt.Sprintf("type-%d", r.IntN(10)), Environment: "production",
			Subject: registry.SubjectOf(f.AgentClients[i]), Scopes: []string{"skills:invoke", "data:read"},
			Labels: map[string]string{"cost-center": fmt.Sprintf("cx-%d", r.IntN(50)), "region": "eu"},
		}
	}
	for i := range f.Resources {
		f.Resources[i] = registry.ResourceFacts{
			Name: fmt.Sprintf("resource-%d", i), Type: registry.Skill, Team: team(r), DataClassification: "low",
			RequiredPermissions: []string{"skills:invoke"}, Environments: []string{"production"},
			Access: registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{team(r)}, AgentTypes: []string{}},
			Labels: map[string]string{"tier": "gold"}, Revision: int64(i + 1),
		}
	}
	return f
}

func team(r *rand.Rand) string { return fmt.Sprintf("team-%d", r.IntN(200)) }

// clientID looks like Auth0's.
func clientID(r *rand.Rand) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 32)
	for i := range id {
		id[i] = letters[r.IntN(len(letters))]
	}
	return string(id)
}

func uuidOf(r *rand.Rand) string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(r.IntN(256))
	}
	return id.String()
}
