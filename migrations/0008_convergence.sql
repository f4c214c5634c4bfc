-- How agents are brought to their desired state at the providers, and kept there.

-- +goose Up
ALTER TABLE agents
    ADD COLUMN suspend_reason        text        NOT NULL DEFAULT '',
    ADD COLUMN expires_at            timestamptz,
    ADD COLUMN credentials_expire_at timestamptz,
    ADD COLUMN tokens_valid_after    timestamptz,
    ADD COLUMN authentication        text        NOT NULL DEFAULT 'client_secret_post',
    ADD COLUMN keys                  json, -- as they were sent
    -- What policy sees of the agent: the after-image of its last change, or null
    -- when policy sees nothing of it.
    ADD COLUMN published             jsonb,
    ADD COLUMN generation            bigint      NOT NULL DEFAULT 1,
    ADD COLUMN observed_generation   bigint      NOT NULL DEFAULT 0,
    ADD COLUMN renewal               text        NOT NULL DEFAULT '',
    ADD COLUMN passes                bigint      NOT NULL DEFAULT 0,
    ADD COLUMN attempts              bigint      NOT NULL DEFAULT 0,
    ADD COLUMN last_error            text        NOT NULL DEFAULT '',
    ADD COLUMN due_at                timestamptz,
    ADD COLUMN lease_epoch           bigint      NOT NULL DEFAULT 0,
    ADD COLUMN lease_until           timestamptz NOT NULL DEFAULT '-infinity',
    -- What the holder of the lease works by: a generation above it came meanwhile.
    ADD COLUMN lease_generation      bigint      NOT NULL DEFAULT 0,
    ADD CONSTRAINT agents_authentication_check CHECK (authentication IN ('client_secret_post', 'private_key_jwt')),
    ADD CONSTRAINT agents_keys_check CHECK ((authentication = 'private_key_jwt') = (keys IS NOT NULL)),
    ADD CONSTRAINT agents_renewal_check CHECK (renewal IN ('', 'access', 'entity', 'identity')),
    ADD CONSTRAINT agents_observed_generation_check CHECK (observed_generation <= generation);

-- An agent that the code before this migration records is seen to as well, should
-- its own replica not have published it by then: that code knows nothing of
-- published.
ALTER TABLE agents ALTER COLUMN due_at SET DEFAULT now() + interval '1 minute';

-- A client is one living agent's. That it was an agent's is noted in agent_clients
-- only once policy has seen the agent with it, if it was there before the agent.
CREATE UNIQUE INDEX agents_living_client_key ON agents (auth0_client_id) WHERE lifecycle = 'active' AND auth0_client_id <> '';
-- Whom to work on next. It holds only agents that are not as desired, or that
-- are to be looked at again: an idle registry's is nearly empty.
CREATE INDEX agents_due_idx ON agents (due_at) WHERE due_at IS NOT NULL;
-- Finds what expires and is not suspended for it yet.
CREATE INDEX agents_expiry_idx ON agents (LEAST(expires_at, credentials_expire_at))
    WHERE lifecycle = 'active' AND NOT suspended AND LEAST(expires_at, credentials_expire_at) IS NOT NULL;

-- An intent is open until its outcome is known: a client was made, which is the
-- client_id, or none was and none will be.
ALTER TABLE client_intents
    ADD COLUMN outcome   text NOT NULL DEFAULT 'open',
    ADD COLUMN client_id text NOT NULL DEFAULT '',
    ADD CONSTRAINT client_intents_outcome_check CHECK (outcome IN ('open', 'created', 'abandoned')),
    ADD CONSTRAINT client_intents_client_id_check CHECK ((outcome = 'created') = (client_id <> ''));

-- What a creation's key led to (the Idempotency-Key header). Rows expire. The key
-- is written before the agent, for two creations with one key to meet there first.
CREATE TABLE idempotency_keys (
    principal             text        NOT NULL,
    key                   text        NOT NULL,
    fingerprint           text        NOT NULL,
    agent_id              uuid        NOT NULL,
    credential_generation bigint      NOT NULL DEFAULT 0,
    issued_at             timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (principal, key),
    CONSTRAINT idempotency_keys_key_check CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id)
        DEFERRABLE INITIALLY DEFERRED
);
-- Finds the key that a registration came with.
CREATE INDEX idempotency_keys_agent_id_idx ON idempotency_keys (agent_id);
-- Finds the keys that have expired.
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

ALTER TABLE audit_events
    ADD COLUMN source     text   NOT NULL DEFAULT '',
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN before     json,
    ADD COLUMN after      json;

-- Filters of the log, which is read from its end.
CREATE INDEX audit_events_object_name_idx ON audit_events (object_kind, object_name, id);
CREATE INDEX audit_events_team_idx ON audit_events (team, id);
CREATE INDEX audit_events_actor_idx ON audit_events (actor, id);
CREATE INDEX audit_events_action_idx ON audit_events (action, id);
CREATE INDEX audit_events_at_idx ON audit_events (at);
-- Finds the changes that a pass has brought about.
CREATE INDEX audit_events_intents_idx ON audit_events (object_id, generation) WHERE object_kind = 'agent' AND outcome = 'intent';

-- The log is only ever added to, whoever asks: what was done cannot be undone
-- there, not even by the tables' owner.
-- +goose StatementBegin
CREATE FUNCTION credence_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION credence_append_only();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_append_only;

-- What differs at a provider from what the registry says.
CREATE TABLE drift (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    provider    text        NOT NULL,
    object_kind text        NOT NULL,
    object_id   text        NOT NULL,
    agent_id    uuid,
    field       text        NOT NULL,
    expected    text        NOT NULL DEFAULT '',
    found       text        NOT NULL DEFAULT '',
    action      text        NOT NULL,
    first_seen  timestamptz NOT NULL DEFAULT now(),
    last_seen   timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT drift_pkey PRIMARY KEY (id),
    CONSTRAINT drift_key UNIQUE (provider, object_kind, object_id, field),
    CONSTRAINT drift_action_check CHECK (action IN ('reported', 'repairing', 'removed'))
);

-- How much may be asked of a provider just now, by all replicas together. A server
-- that crashed may forget it: a bucket is full when it is first asked for.
CREATE UNLOGGED TABLE provider_budgets (
    name          text             NOT NULL,
    tokens        double precision NOT NULL,
    refilled_at   timestamptz      NOT NULL,
    capacity      double precision, -- of the provider's own bucket; null when it did not say
    blocked_until timestamptz,
    wait          double precision NOT NULL DEFAULT 0, -- in seconds, of whoever asked last

    CONSTRAINT provider_budgets_pkey PRIMARY KEY (name)
);

-- Agents that exist are as desired, but for those that a failure left half made
-- or half removed: they are due at once.
UPDATE agents SET observed_generation = 1;
UPDATE agents a SET observed_generation = 0, due_at = now()
WHERE EXISTS (
    SELECT FROM agent_steps s
    WHERE s.agent_id = a.id AND s.state <> CASE a.lifecycle WHEN 'active' THEN 'done' ELSE 'undone' END);
UPDATE agents SET published = jsonb_build_object(
    'id', id, 'name', name, 'team', team, 'agent_type', agent_type, 'environment', environment,
    'subject', auth0_client_id || '@clients', 'suspended', suspended, 'scopes', to_jsonb(scopes), 'labels', labels, 'quota', quota)
WHERE lifecycle = 'active' AND revision > 0;
-- Entities of the removed stood disabled for ever. They go, once no token can be
-- left.
UPDATE agents SET passes = 2, due_at = now() + interval '1 day'
WHERE lifecycle = 'decommissioned' AND observed_generation = 1;
UPDATE client_intents i SET outcome = 'created', client_id = a.auth0_client_id
FROM agents a WHERE a.id = i.agent_id AND a.auth0_client_id <> '';

-- +goose Down
DROP TABLE provider_budgets;
DROP TABLE drift;
DROP TRIGGER audit_events_append_only ON audit_events;
DROP FUNCTION credence_append_only;
DROP INDEX audit_events_object_name_idx, audit_events_team_idx, audit_events_actor_idx, audit_events_action_idx, audit_events_at_idx,
    audit_events_intents_idx;
ALTER TABLE audit_events DROP COLUMN source, DROP COLUMN generation, DROP COLUMN before, DROP COLUMN after;
DROP TABLE idempotency_keys;
DROP INDEX agents_living_client_key;
ALTER TABLE client_intents DROP COLUMN outcome, DROP COLUMN client_id;
ALTER TABLE agents
    DROP COLUMN suspend_reason, DROP COLUMN expires_at, DROP COLUMN credentials_expire_at, DROP COLUMN tokens_valid_after,
    DROP COLUMN authentication, DROP COLUMN keys, DROP COLUMN published, DROP COLUMN generation, DROP COLUMN observed_generation,
    DROP COLUMN renewal, DROP COLUMN passes, DROP COLUMN attempts, DROP COLUMN last_error, DROP COLUMN due_at,
    DROP COLUMN lease_epoch, DROP COLUMN lease_until, DROP COLUMN lease_generation;
