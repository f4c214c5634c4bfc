package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// idleAgents is how many agents an idle registry has.
const idleAgents = 100_000

// manyAgentsSQL makes copies of the one agent that there is, all as desired.
const manyAgentsSQL = `
	INSERT INTO agents
	SELECT (jsonb_populate_record(a, jsonb_build_object(
	    'id', made.id, 'name', made.name, 'auth0_client_id', made.name, 'vault_entity_id', made.id, 'vault_alias_id', made.id,
	    'published', a.published || jsonb_build_object('id', made.id, 'name', made.name, 'subject', made.name || '@clients')))).*
	FROM agents a, (SELECT gen_random_uuid() AS id, 'idle-' || n AS name FROM generate_series(1, %d) n) made`

// BenchmarkIdle reports how many transactions a second a server with many agents
// makes while nothing is to be done, over ten seconds.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b)
	w.as(w.admin).put("/teams/"+team, `{"max_agents": 1000000}`).want(b, 201)
	w.as(w.developer).register(registration("first", nil))
	w.stop(b)
	w.execute(fmt.Sprintf(manyAgentsSQL, idleAgents))
	w.execute("ANALYZE agents")
	w.start("CREDENCE_SWEEP_INTERVAL", "0s") // the providers have none of them
	w.startOPA("http://" + w.api)            // as in a real installation, one polls
	const watched = 10 * time.Second
	for b.Loop() {
		time.Sleep(2 * time.Second) // statistics are a second late
		before, reads := w.transactions(), w.rowsRead()
		time.Sleep(watched)
		b.ReportMetric(float64(w.transactions()-before)/watched.Seconds(), "transactions/s")
		b.ReportMetric(float64(w.rowsRead()-reads)/watched.Seconds(), "agent-rows/s")
	}
}

func (w *world) transactions() int {
	w.t.Helper()
	return w.count("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
}

// rowsRead is how many rows of agents were read so far, in whatever way.
func (w *world) rowsRead() int {
	w.t.Helper()
	return w.count("SELECT seq_tup_read + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'agents'")
}

// reopenSQL has every agent's grant made again, as a sweep does that finds drift.
const reopenSQL = `
	WITH steps AS (UPDATE agent_steps SET state = 'pending' WHERE step = 'auth0_grant')
	UPDATE agents SET generation = generation + 1, passes = 0, due_at = now()`

// BenchmarkRepair works off a thousand agents that need repair, at a budget of calls
// to Auth0, and reports which share of the budget was used.
func BenchmarkRepair(b *testing.B) {
	const agents, rate = 1000, 200.0
	w := newWorld(b)
	w.as(w.admin).put("/teams/"+team, `{"max_agents": 1000000}`).want(b, 201)
	names := numbered(agents)
	for batch := range slices.Chunk(names, 20) {
		wantOnly(b, together(batch, func(name string) response { return register(w, name) }), 201)
	}
	w.stop(b)
	w.start("CREDENCE_AUTH0_RATE", fmt.Sprint(rate), "CREDENCE_AUTH0_BURST", "50")
	var took time.Duration
	calls := 0
	for b.Loop() {
		before, began := len(w.auth0.passed("/api/v2/")), time.Now()
		w.execute(reopenSQL)
		eventually(b, "all repaired", func() bool { return w.count("SELECT count(*) FROM agents WHERE due_at IS NOT NULL") == 0 })
		took += time.Since(began)
		calls += len(w.auth0.passed("/api/v2/")) - before
	}
	b.ReportMetric(float64(agents*b.N)/took.Seconds(), "agents/s")
	b.ReportMetric(float64(calls)/took.Seconds(), "calls/s")
	b.ReportMetric(100*float64(calls)/took.Seconds()/rate, "budget-%")
	if strings.Contains(w.stderr.String(), `"msg":"a pass failed"`) {
		b.Error("a pass failed")
	}
}
