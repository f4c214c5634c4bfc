package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/local"
)

// TestTiersReachOPAByHeldPolls: what the owners of each tier write is what a real OPA
// enforces a moment later, and any tier's denial wins.
func TestTiersReachOPAByHeldPolls(t *testing.T) {
	t.Parallel()
	w, agent, claims := tiered(t)
	opa := w.startPollingOPA("http://" + w.api)
	opa.becomes(claims, "hello-skill", "allow")
	admin, author := w.as(w.admin), w.author()
	deny := func(code string) string {
		return fmt.Sprintf(`{"rules": [{"code": %q, "effect": "deny", "when": {"resources": ["hello-skill"]}}]}`, code)
	}
	for _, tt := range []struct {
		name, code string
		by         caller
	}{
		{"global/baseline", "by_global", admin},
		{"team/" + team, "by_team", author},
		{"agent_type/support", "by_type", admin},
		{"agent/" + agent.Agent.ID, "by_agent", author},
	} {
		tt.by.putPolicy(tt.name, deny(tt.code)).want(t, 201)
		tier, _, _ := strings.Cut(tt.name, "/")
		opa.becomes(claims, "hello-skill", tier+"/"+tt.code)
		tt.by.deletePolicy(tt.name).want(t, 204)
		opa.becomes(claims, "hello-skill", "allow")
	}

	author.putPolicy("team/"+team, rego(layer(`deny contains "by_rego" if request.resource.name == "hello-skill"`))).want(t, 201)
	opa.becomes(claims, "hello-skill", "team/by_rego")
	author.putPolicy("team/"+team, rego(layer(`allow contains "fine" if request.resource.name == "hello-skill"`))).want(t, 200)
	opa.becomes(claims, "hello-skill", "allow")

	admin.put("/environments/production", `{"allowed_endpoints": ["skills.example.com:443"], "grants": "explicit"}`).want(t, 200)
	opa.becomes(claims, "staging-skill", "platform/environment_mismatch")
	opa.becomes(claims, "hello-skill", "allow") // the layer grants it
	author.deletePolicy("team/"+team).want(t, 204)
	opa.becomes(claims, "hello-skill", "platform/no_grant")
}

// TestInvariant_A4_ACeilingBoundsWhatLowerTiersGrant: whatever a team and its agents
// allow themselves, and only admins move it.
func TestInvariant_A4_ACeilingBoundsWhatLowerTiersGrant(t *testing.T) {
	t.Parallel()
	w, agent, claims := tiered(t)
	opa := w.startPollingOPA("http://" + w.api)
	admin, author := w.as(w.admin), w.author()
	open := `{"rules": [{"code": "all", "effect": "allow"}]}`
	author.putPolicy("agent/"+agent.Agent.ID, open).want(t, 201)
	opa.becomes(claims, "hello-skill", "allow")

	author.putPolicy("team/"+team, `{"ceiling": {"permissions": ["data:read"]}}`).wantRefused(t, 403, "ceiling_not_allowed", "/ceiling ceiling_not_allowed")
	admin.putPolicy("team/"+team, `{"ceiling": {"permissions": ["data:read"]}, "required": false}`).want(t, 201)
	opa.becomes(claims, "hello-skill", "team/above_ceiling")
	author.putPolicy("team/"+team, open).wantRefused(t, 403, "ceiling_not_allowed", "/ceiling ceiling_not_allowed")
	author.putPolicy("team/"+team, `{"ceiling": {"permissions": ["data:read"]}, "rules": [{"code": "all", "effect": "allow"}]}`).want(t, 200)
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "team/above_ceiling" {
		t.Errorf("the team allowed itself %s", got)
	}
	w.as(w.developer).post("/agents", registration("another", map[string]any{"scopes": []string{"data:read", "skills:invoke"}})).
		wantRefused(t, 403, "scope_not_allowed", "/scopes/1 scope_not_allowed")
	author.deletePolicy("team/"+team).wantRefused(t, 403, "ceiling_not_allowed", "/ceiling ceiling_not_allowed")
	admin.deletePolicy("team/"+team).want(t, 204)
	opa.becomes(claims, "hello-skill", "allow")
}

// TestInvariant_B5_AnOPAThatAsksForDeltasIsNeverWrong: it gets snapshots, and while
// 300 changes come in, each of 10,000 decisions is made, and right.
func TestInvariant_B5_AnOPAThatAsksForDeltasIsNeverWrong(t *testing.T) {
	t.Parallel()
	w, _, claims := tiered(t)
	suspended := w.as(w.developer).register(registration("leaked", nil))
	leaked := w.claimsOf(w.agentToken(suspended))
	w.as(w.developer).post("/agents/leaked/suspend", `{"reason": "a leak"}`).want(t, 200)
	r := newRecorder(t, w.api)
	opa := w.startPollingOPA(r.URL)
	opa.becomes(claims, "hello-skill", "allow")
	opa.becomes(leaked, "hello-skill", "platform/agent_suspended")

	const decisions, changes, askers = 10_000, 300, 4
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for n := asked.Add(1); n <= decisions && !t.Failed(); n = asked.Add(1) {
				who, want := claims, "allow"
				if n%2 == 0 {
					who, want = leaked, "platform/agent_suspended"
				}
				if got := codesOf(opa.decide(who, "POST", "hello-skill")); got != want {
					t.Errorf("decision %d: OPA says %s, want %s", n, got, want)
				}
			}
		})
	}
	admin := w.as(w.admin)
	for i := range changes {
		eventually(t, "the next decisions", func() bool { return t.Failed() || asked.Load() >= int64(i*decisions/changes) })
		owner := fmt.Sprintf("team-%d", i)
		admin.put("/resources/billing-system", resourceDocument("skill", owner, "team", "production")).want(t, 200)
	}
	wg.Wait()
	if n := asked.Load(); n < decisions {
		t.Errorf("%d decisions", n)
	}
	states := map[string]bool{}
	for _, p := range r.polls() {
		if p.status == 200 {
			states[p.etag] = true
		}
		if p.prefer == "" || p.status == 200 && p.contentType != "application/vnd.openpolicyagent.bundles" {
			t.Fatalf("%+v", p)
		}
	}
	if len(states) < changes/10 { // a slow OPA gets several changes at once
		t.Errorf("OPA was given %d states while %d changes came in", len(states), changes)
	}
	t.Logf("%d states for %d changes", len(states), changes)
}

// TestAQuietRegistryIsNotPolledHotly: without a change, an OPA whose polls are held
// asks less than twice a second.
func TestAQuietRegistryIsNotPolledHotly(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	w.startOPAWith(r.URL, func(o *local.OPAOptions) { o.LongPoll = time.Second })
	eventually(t, "a poll that was held", func() bool { return len(r.polls()) >= 3 })
	before, began := len(r.polls()), time.Now()
	eventually(t, "four more", func() bool { return len(r.polls()) >= before+4 })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("four polls in %s", took)
	}
}

// TestAChangeWithoutANotificationReachesHeldPolls: the session that listens is
// killed, which tells nobody; the next look at the head finds the change.
func TestAChangeWithoutANotificationReachesHeldPolls(t *testing.T) {
	t.Parallel()
	w, _, claims := tiered(t)
	opa := w.startPollingOPA("http://" + w.api)
	opa.becomes(claims, "hello-skill", "allow")
	for range 3 {
		w.count(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%' AND datname = current_database()`)
		w.setVisibility("team")
		opa.becomes(claims, "hello-skill", "platform/access_denied")
		w.setVisibility("organization")
		opa.becomes(claims, "hello-skill", "allow")
	}
}

// TestAnOPAThatKeepsItsBundleStartsWithoutUs: `persist` works, since what it gets are
// snapshots, and it takes the next state when we are back.
func TestAnOPAThatKeepsItsBundleStartsWithoutUs(t *testing.T) {
	t.Parallel()
	w, _, claims := tiered(t)
	dir := t.TempDir()
	persistent := func(o *local.OPAOptions) { o.LongPoll, o.Persist, o.Dir = 5*time.Second, true, dir }
	r := newRecorder(t, w.api)
	opa := w.startOPAWith(r.URL, persistent)
	eventually(t, "OPA's first bundle", func() bool { return opa.opa.Activated(t.Context()) })
	opa.becomes(claims, "hello-skill", "allow")
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
	if err := opa.opa.Stop(); err != nil {
		t.Fatal(err)
	}
	down := newRecorder(t, "127.0.0.1:1")
	again := w.startOPAWith(down.URL, persistent)
	eventually(t, "what it kept", func() bool { return codesOf(again.decide(claims, "POST", "hello-skill")) == "platform/access_denied" })
	down.leadTo(w.api)
	w.setVisibility("organization")
	again.becomesWithin(10*time.Second, claims, "hello-skill", "allow") // it backs off while we are down
}

// TestInvariant_B3_AReplicaBehindNeverTakesAHeldPollBack: polls go to one and the other
// in turn, and a suspension that OPA knows of stays.
func TestInvariant_B3_AReplicaBehindNeverTakesAHeldPollBack(t *testing.T) {
	t.Parallel()
	w, agent, claims := tiered(t)
	way := newLink(t, w.dsn)
	late := w.replica("CREDENCE_DATABASE_URL_FILE", w.file("database-link", way.dsn), "CREDENCE_BUNDLE_HOLD", "300ms")
	r := newRecorder(t, w.api, late.api)
	opa := w.startOPAWith(r.URL, func(o *local.OPAOptions) { o.LongPoll = time.Second })
	opa.becomesWithin(5*time.Second, claims, "hello-skill", "allow")
	way.freeze()
	w.as(w.developer).post("/agents/"+agent.Agent.ID+"/suspend", `{"reason": "a leak"}`).want(t, 200)
	opa.becomesWithin(5*time.Second, claims, "hello-skill", "platform/agent_suspended")
	seen := len(r.polls())
	eventually(t, "polls at both", func() bool {
		if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "platform/agent_suspended" {
			t.Fatalf("OPA was taken back: %s", got)
		}
		at := map[string]int{}
		for _, p := range r.polls()[min(seen, len(r.polls())):] {
			at[p.server]++
		}
		return at[w.api] >= 2 && at[late.api] >= 2
	})
	way.mend()
}

// TestInvariant_B8_WhatIsOldIsDenied: an environment says how old what policy knows
// may be. Without heartbeats it becomes too old, and with them it does not.
func TestInvariant_B8_WhatIsOldIsDenied(t *testing.T) {
	t.Parallel()
	strict := `{"allowed_endpoints": ["skills.example.com:443"], "max_staleness": "2s"}`
	t.Run("without heartbeats", func(t *testing.T) {
		t.Parallel()
		w, _, claims := tiered(t, "CREDENCE_HEARTBEAT_INTERVAL", "1h")
		opa := w.startPollingOPA("http://" + w.api)
		opa.becomes(claims, "hello-skill", "allow")
		w.as(w.admin).put("/environments/production", strict).want(t, 200)
		opa.becomesWithin(5*time.Second, claims, "hello-skill", "platform/registry_stale")
		w.setVisibility("organization")
		w.as(w.admin).put("/environments/production", `{"allowed_endpoints": ["skills.example.com:443"]}`).want(t, 200)
		opa.becomes(claims, "hello-skill", "allow")
	})
	t.Run("with heartbeats", func(t *testing.T) {
		t.Parallel()
		w, _, claims := tiered(t, "CREDENCE_HEARTBEAT_INTERVAL", "500ms")
		w.as(w.admin).put("/environments/production", strict).want(t, 200)
		opa := w.startPollingOPA("http://" + w.api)
		opa.becomes(claims, "hello-skill", "allow")
		began := time.Now()
		eventually(t, "more than twice the staleness", func() bool {
			if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "allow" {
				t.Fatalf("after %s OPA says %s", time.Since(began), got)
			}
			return time.Since(began) > 5*time.Second
		})
	})
}

// TestInvariant_B6_OneTeamsBrokenLayerHoldsNobodyUp: a module that does not compile
// with what is active now, as after an upgrade, counts as missing, which denies where
// it is required; and another team's suspension is published all the same.
func TestInvariant_B6_OneTeamsBrokenLayerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w, _, claims := tiered(t)
	others := w.as(w.outsider).register(registration("other", map[string]any{"team": otherTeam}))
	theirs := w.claimsOf(w.agentToken(others))
	opa := w.startPollingOPA("http://" + w.api)
	w.as(w.admin).putPolicy("team/"+team, fmt.Sprintf(`{"required": true, "rego": %q}`, layer(`deny contains "never" if request.method == "NEVER"`))).want(t, 201)
	opa.becomes(claims, "hello-skill", "allow")
	opa.becomes(theirs, "hello-skill", "allow")

	w.breakLayer(registryKey{"team", team})
	opa.becomes(claims, "hello-skill", "platform/layer_missing")
	w.as(w.outsider).post("/agents/other/suspend", `{"reason": "a leak"}`).want(t, 200)
	opa.becomes(theirs, "hello-skill", "platform/agent_suspended")
}

type registryKey struct{ tier, id string }

// breakLayer makes the module of the layer one that does not compile, past the gate.
func (w *world) breakLayer(key registryKey) {
	w.t.Helper()
	conn := must(pgx.Connect(w.t.Context(), w.dsn))(w.t)
	defer func() { _ = conn.Close(w.t.Context()) }()
	err := pgx.BeginFunc(w.t.Context(), conn, func(tx pgx.Tx) error {
		const broken = `
			WITH head AS (UPDATE registry_head SET revision = revision + 1 RETURNING epoch, revision),
			last AS (SELECT * FROM changes WHERE kind = 'layer' AND object_id = $1 || '/' || $2 ORDER BY revision DESC LIMIT 1),
			kept AS (UPDATE policies SET rego = 'package broken {', previous = '', revision = (SELECT revision FROM head) WHERE tier = $1 AND id = $2),
			touched AS (UPDATE scopes SET revision = (SELECT revision FROM head)) -- and its parts, as a server of the release before does
			INSERT INTO changes (epoch, revision, kind, object_id, old_scope, new_scope, after)
			SELECT head.epoch, head.revision, 'layer', last.object_id, '*', '*',
			       last.after || jsonb_build_object('rego', 'package broken {', 'previous', '', 'revision', head.revision)
			FROM head, last`
		if _, err := tx.Exec(w.t.Context(), broken, key.tier, key.id); err != nil {
			return err
		}
		_, err := tx.Exec(w.t.Context(), `SELECT pg_notify('credence_changes', '')`)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestDiscoveryLeadsAnOPAToTheWholeOrToParts: ten lines of boot configuration are
// enough, and a change reaches an OPA that loads parts as it does one that loads all.
func TestDiscoveryLeadsAnOPAToTheWholeOrToParts(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"bundles/production/discovery", "bundles/production/discovery/parts"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w, agent, claims := tiered(t)
			r := newRecorder(t, w.api)
			opa := w.startOPAWith(r.URL, func(o *local.OPAOptions) { o.Discovery = path })
			opa.becomesWithin(10*time.Second, claims, "hello-skill", "allow")
			w.author().putPolicy("team/"+team, `{"rules": [{"code": "late", "effect": "deny", "when": {"resources": ["hello-skill"]}}]}`).want(t, 201)
			opa.becomes(claims, "hello-skill", "team/late")
			w.author().deletePolicy("team/"+team).want(t, 204)
			opa.becomes(claims, "hello-skill", "allow")
			w.setVisibility("team")
			opa.becomes(claims, "hello-skill", "platform/access_denied")
			w.setVisibility("organization")
			opa.becomes(claims, "hello-skill", "allow")
			w.as(w.developer).post("/agents/"+agent.Agent.ID+"/suspend", `{"reason": "a leak"}`).want(t, 200)
			opa.becomes(claims, "hello-skill", "platform/agent_suspended")
			other := maps.Clone(claims)
			other["sub"] = "nobody@clients"
			opa.becomes(other, "hello-skill", "platform/agent_unknown")
		})
	}
}
