package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
)

// onRecord is a world whose drifts have ids.
type onRecord struct {
	*world
	records []registry.DriftRecord
}

func (o *onRecord) Drifts(_ context.Context, after int64, limit int) ([]registry.DriftRecord, bool, error) {
	var page []registry.DriftRecord
	for _, r := range o.records {
		if r.ID > after && len(page) < limit {
			page = append(page, r)
		}
	}
	return page, len(page) > 0 && page[len(page)-1].ID < int64(len(o.records)), o.fail["drifts"]
}

func record(agents []registry.Agent, drifts ...registry.Drift) *onRecord {
	o := &onRecord{world: newWorld(agents...)}
	for i, d := range drifts {
		o.records = append(o.records, registry.DriftRecord{ID: int64(i + 1), Drift: d})
	}
	return o
}

func of(agentID string, d registry.Drift) registry.Drift {
	d.AgentID = agentID
	return d
}

var admin = registry.Principal{Subject: "auth0|ada", Permissions: []registry.Permission{registry.Admin}}

func TestRepairOnRequest(t *testing.T) {
	t.Parallel()
	agents := numbered(5)
	ids := make([]string, len(agents))
	for i, a := range agents {
		ids[i] = a.ID
	}
	o := record(agents,
		of(ids[0], atClient("name", "a", "b", repaired)), of(ids[0], atAlias("", "present", "absent", repaired)),
		of(ids[1], atEntity("disabled", "false", "true", reported)), of(ids[1], atGrant("scopes", "a", "b", repaired)),
		of(ids[2], atClient("", "present", "absent", reported)),
		of(ids[4], atClient("", "present", "absent", reported)), of(ids[4], atEntity("disabled", "false", "true", reported)),
		registry.Drift{Provider: "vault", ObjectKind: "role", ObjectID: "agent", Action: reported},
	)
	all := []registry.StepName{registry.StepClient, registry.StepGrant, registry.StepEntity, registry.StepAlias}
	for _, tc := range []struct {
		agent  string
		queued int
		want   map[string][]registry.StepName
	}{
		{"", 2, map[string][]registry.StepName{ids[0]: {registry.StepClient, registry.StepAlias}, ids[1]: {registry.StepGrant}}},
		{ids[0], 1, map[string][]registry.StepName{ids[0]: all}},
		{ids[1], 1, map[string][]registry.StepName{ids[1]: {registry.StepClient, registry.StepGrant}}}, // C2: it stays disabled
		{ids[2], 1, map[string][]registry.StepName{ids[2]: {registry.StepEntity, registry.StepAlias}}},
		{ids[4], 0, nil},
		{ids[3], 1, map[string][]registry.StepName{ids[3]: all}}, // no sweep has looked at it yet
	} {
		t.Run(fmt.Sprint(tc.agent, tc.queued), func(t *testing.T) {
			t.Parallel()
			o := &onRecord{world: newWorld(agents...), records: o.records}
			queued, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, tc.agent)
			if err != nil || queued != tc.queued {
				t.Errorf("Repair() = %d, %v; want %d", queued, err, tc.queued)
			}
			if diff := cmp.Diff(tc.want, o.repaired, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("repaired (-want +got):\n%s", diff)
			}
			slices.Sort(o.audit)
			var audit []string
			for id := range tc.want {
				audit = append(audit, "auth0|ada drift.repair "+id+" success 0")
			}
			slices.Sort(audit)
			if diff := cmp.Diff(audit, o.audit); diff != "" {
				t.Errorf("audit (-want +got):\n%s", diff)
			}
		})
	}
}

// collecting notes what is to be repaired.
type collecting struct {
	steps map[string][]registry.StepName
}

func (c collecting) Repair(_ context.Context, agentID string, steps []registry.StepName, _ []registry.Drift) error {
	c.steps[agentID] = steps
	return nil
}

func TestRepairOfNobody(t *testing.T) {
	t.Parallel()
	o := record(nil)
	if _, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, "nobody"); !errors.Is(err, registry.NotFound) {
		t.Errorf("Repair() = %v, want NotFound", err)
	}
	if n, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, ""); n != 0 || err != nil {
		t.Errorf("Repair() = %d, %v; want nothing to do", n, err)
	}
	o.fail["drifts"] = registry.Unavailable.Errorf("away", "it is away")
	if _, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, ""); !errors.Is(err, registry.Unavailable) {
		t.Errorf("Repair() = %v, want that it is away", err)
	}
}

func TestDriftsAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	agents := numbered(450)
	var drifts []registry.Drift
	for _, a := range agents {
		drifts = append(drifts, of(a.ID, atClient("name", "a", "b", repaired)))
	}
	o := record(agents, drifts...)
	if n, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, ""); n != 450 || err != nil {
		t.Errorf("Repair() = %d, %v; want all 450", n, err)
	}
}

// audited keeps whole events.
type audited struct {
	*onRecord
	events []registry.AuditEvent
}

func (a *audited) RecordAudit(_ context.Context, e registry.AuditEvent) error {
	a.events = append(a.events, e)
	return nil
}

// Its owners find the repair in the audit log; of an agent that is gone there is
// none.
func TestARepairIsAuditedUnderItsAgentAndTeam(t *testing.T) {
	t.Parallel()
	agents := numbered(1)
	const gone = "0198f000-0000-7000-8000-00000000dead"
	o := &audited{onRecord: record(agents, of(agents[0].ID, atClient("name", "a", "b", repaired)), of(gone, atClient("name", "a", "b", repaired)))}
	n, err := sweep.NewDrifts(o, collecting{o.repaired}).Repair(t.Context(), admin, "")
	if n != 1 || err != nil {
		t.Errorf("Repair() = %d, %v; want the one that there is", n, err)
	}
	want := []registry.AuditEvent{{
		Actor: registry.Actor{Subject: admin.Subject}, Action: "drift.repair", Outcome: registry.Success,
		ObjectKind: "agent", ObjectID: agents[0].ID, ObjectName: agents[0].Name, Team: agents[0].Team,
	}}
	if diff := cmp.Diff(want, o.events); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}
