package postgres

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
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
	everyFilter, _ := auditQuery(registry.AuditFilter{
		Teams: []string{}, Agent: "a", Actor: "a", Action: "a", From: time.Now(), Until: time.Now(), Before: 1,
	})
	for i, sql := range []string{
		everyFilter,
		headSQL, nextRevisionSQL, insertChangeSQL, notifySQL, insertAuditSQL, lockNameSQL, schemaVersionSQL,
		getEnvironmentSQL, lockEnvironmentSQL, listEnvironmentsSQL, deleteEnvironmentSQL, environmentInUseSQL, upsertEnvironmentSQL,
		getAgentTypeSQL, lockAgentTypeSQL, listAgentTypesSQL, deleteAgentTypeSQL, agentTypeInUseSQL, upsertAgentTypeSQL,
		getTeamSQL, lockTeamSQL, listTeamsSQL, deleteTeamSQL, teamInUseSQL, upsertTeamSQL,
		agentByIDSQL, livingAgentSQL, newestOfNameSQL, agentsSQL, isAgentClientSQL, wasAgentClientSQL, expiredAgentsSQL, countFailingSQL,
		rulesSQL, countTeamSQL, insertAgentSQL, insertStepsSQL, recordClientSQL, insertClientIntentSQL, insertIdempotencyKeySQL,
		lockAgentSQL, lockedAgentsSQL, updateAgentSQL, setStepStatesSQL, anyDueSQL, claimAgentsSQL, claimAgentSQL, agentExistsSQL,
		recordProgressSQL, lockLeasedSQL, finishPassSQL, overtakenPassSQL, postponePassSQL, setStepsSQL, auditOutcomesSQL,
		openIntentsSQL, isAdoptedClientSQL, beginClientSQL, endIntentsSQL, abandonedIntentsSQL,
		issueCredentialsSQL, idempotentCreationSQL, freeKeysSQL, purgeKeysSQL,
		restoreUnconfirmedSQL, recordDriftSQL, driftsSQL, clockSQL, clearDriftSQL, takeTokensSQL, reportTokensSQL, serverRoleSQL, currentSchemaSQL,
		getResourceSQL, lockResourceSQL, listResourcesSQL, deleteResourceSQL, upsertResourceSQL, holdEnvironmentsSQL, rulesChangedSQL,
		touchScopeSQL, touchPartSQL, touchAllScopesSQL, touchAllPartsSQL, deleteScopeSQL, deletePartsSQL,
		getPolicySQL, lockedPolicySQL, deletePolicySQL, listPoliciesSQL, listTierSQL, putPolicySQL, layerFactsSQL, takePolicySQL,
		insertVersionSQL, versionSQL, versionsSQL, holdNameSQL, holdAgentSQL, holdAgentTypeSQL, holdTeamSQL, countLayersSQL, boundsSQL,
		staleScopesSQL, scopeIsStaleSQL,
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
