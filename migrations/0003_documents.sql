-- What admins decide: environments, agent types, teams.

-- +goose Up
CREATE TABLE environments (
    name              text        NOT NULL,
    allowed_endpoints text[]      NOT NULL,
    grants            text        NOT NULL,
    max_staleness     text        NOT NULL,
    reserved_names    text[]      NOT NULL,
    revision          bigint      NOT NULL,
    version           bigint      NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT environments_pkey PRIMARY KEY (name),
    CONSTRAINT environments_grants_check CHECK (grants IN ('permissions', 'explicit'))
);

-- The schema is json, not jsonb: it is kept as it was sent.
CREATE TABLE agent_types (
    name                 text        NOT NULL,
    schema               json,
    default_scopes       text[]      NOT NULL,
    allowed_scopes       text[]      NOT NULL,
    allowed_environments text[]      NOT NULL,
    default_quota        jsonb       NOT NULL,
    max_quota            jsonb,
    revision             bigint      NOT NULL,
    version              bigint      NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT agent_types_pkey PRIMARY KEY (name)
);

CREATE TABLE teams (
    name       text        NOT NULL,
    max_agents bigint      NOT NULL,
    blocked    boolean     NOT NULL,
    revision   bigint      NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT teams_pkey PRIMARY KEY (name),
    CONSTRAINT teams_max_agents_check CHECK (max_agents >= 0)
);

-- +goose Down
DROP TABLE teams;
DROP TABLE agent_types;
DROP TABLE environments;
