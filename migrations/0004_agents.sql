-- The agents, how far their provisioning got, and every client that was theirs.

-- +goose Up
CREATE TABLE agents (
    id                    uuid        NOT NULL,
    name                  text        NOT NULL,
    team                  text        NOT NULL,
    agent_type            text        NOT NULL,
    environment           text        NOT NULL,
    owner                 text        NOT NULL,
    description           text        NOT NULL,
    scopes                text[]      NOT NULL,
    capabilities          json        NOT NULL,
    capability_names      text[]      NOT NULL,
    labels                jsonb       NOT NULL,
    config                json        NOT NULL,
    quota                 jsonb       NOT NULL,
    lifecycle             text        NOT NULL DEFAULT 'active',
    suspended             boolean     NOT NULL DEFAULT false,
    credential_generation bigint      NOT NULL DEFAULT 0,
    auth0_client_id       text        NOT NULL DEFAULT '',
    auth0_grant_id        text        NOT NULL DEFAULT '',
    vault_entity_id       text        NOT NULL DEFAULT '',
    vault_alias_id        text        NOT NULL DEFAULT '',
    revision              bigint      NOT NULL DEFAULT 0,
    version               bigint      NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    created_by            text        NOT NULL,
    decommissioned_at     timestamptz,

    CONSTRAINT agents_pkey PRIMARY KEY (id),
    CONSTRAINT agents_lifecycle_check CHECK (lifecycle IN ('active', 'decommissioned')),
    CONSTRAINT agents_decommissioned_at_check
        CHECK ((lifecycle = 'decommissioned') = (decommissioned_at IS NOT NULL))
);

-- A name is unique among the living only. It is also the order of the list.
CREATE UNIQUE INDEX agents_living_name_key ON agents (name) WHERE lifecycle = 'active';
-- Counts a team's agents against its limit.
CREATE INDEX agents_living_team_idx ON agents (team) WHERE lifecycle = 'active';
-- Finds the newest tombstone of a name, and pages through tombstones.
CREATE INDEX agents_tombstones_idx ON agents (name, id) WHERE lifecycle = 'decommissioned';
-- Serves the capability filter of the list.
CREATE INDEX agents_capability_names_idx ON agents USING gin (capability_names);

CREATE TABLE agent_steps (
    agent_id   uuid        NOT NULL,
    step       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'pending',
    last_error text        NOT NULL DEFAULT '',
    at         timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT agent_steps_pkey PRIMARY KEY (agent_id, step),
    CONSTRAINT agent_steps_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id),
    CONSTRAINT agent_steps_step_check
        CHECK (step IN ('auth0_client', 'auth0_grant', 'vault_entity', 'vault_alias', 'policy')),
    CONSTRAINT agent_steps_state_check CHECK (state IN ('pending', 'done', 'failed', 'undone'))
);

-- Noted before a client is created at the identity provider, so that a client
-- whose creation was never confirmed can be proven to be ours. Only ever added to.
CREATE TABLE client_intents (
    id         uuid        NOT NULL,
    agent_id   uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT client_intents_pkey PRIMARY KEY (id),
    CONSTRAINT client_intents_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id)
);

-- Finds an agent's attempts, when the outcome of one has to be settled.
CREATE INDEX client_intents_agent_id_idx ON client_intents (agent_id);

-- Every client that is or was an agent's: none of them may use the control
-- plane's API, whatever its token says. Only ever added to.
CREATE TABLE agent_clients (
    client_id  text        NOT NULL,
    agent_id   uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT agent_clients_pkey PRIMARY KEY (client_id),
    CONSTRAINT agent_clients_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id)
);

-- +goose Down
DROP TABLE agent_clients;
DROP TABLE client_intents;
DROP TABLE agent_steps;
DROP TABLE agents;
