package postgres

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/credenceproject/credence/internal/testdb"
)

// Every statement must agree with the schema, also those that no other test
// happens to run.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	conn, err := testdb.New(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()

	named := regexp.MustCompile(`@\w+`)
	for i, sql := range []string{
		headSQL, nextRevisionSQL, insertChangeSQL, notifySQL, insertAuditSQL, lockNameSQL, schemaVersionSQL,
		getEnvironmentSQL, lockEnvironmentSQL, listEnvironmentsSQL, deleteEnvironmentSQL, environmentInUseSQL, upsertEnvironmentSQL,
		getAgentTypeSQL, lockAgentTypeSQL, listAgentTypesSQL, deleteAgentTypeSQL, agentTypeInUseSQL, upsertAgentTypeSQL,
		getTeamSQL, lockTeamSQL, listTeamsSQL, deleteTeamSQL, teamInUseSQL, upsertTeamSQL,
		agentByIDSQL, livingAgentSQL, newestOfNameSQL, agentsSQL, isAgentClientSQL, clientIntentsSettledSQL,
		rulesSQL, countTeamSQL, insertAgentSQL, insertStepsSQL, insertClientIntentSQL,
		setStepsSQL, setProgressSQL, insertAgentClientSQL,
		lockAgentSQL, publishAgentSQL, decommissionSQL,
		getResourceSQL, lockResourceSQL, listResourcesSQL, deleteResourceSQL, upsertResourceSQL, holdEnvironmentsSQL, rulesChangedSQL,
		touchScopeSQL, touchAllScopesSQL, deleteScopeSQL,
		insertPolicySQL, activatePolicySQL, lockPolicySQL, renewEpochSQL,
		scopeFactsSQL, environmentFactsSQL, agentFactsSQL, resourceFactsSQL, agentClientsSQL, activePolicySQL, policySQL, changesSQL,
	} {
		numbers := map[string]string{}
		numbered := named.ReplaceAllStringFunc(sql, func(p string) string {
			if numbers[p] == "" {
				numbers[p] = fmt.Sprintf("$%d", len(numbers)+1)
			}
			return numbers[p]
		})
		if _, err := conn.Conn().Prepare(t.Context(), fmt.Sprintf("s%d", i), numbered); err != nil {
			t.Errorf("%s\n%v", sql, err)
		}
	}
}
