-- What agents call.

-- +goose Up
CREATE TABLE resources (
    name                 text        NOT NULL,
    type                 text        NOT NULL,
    team                 text        NOT NULL,
    description          text        NOT NULL,
    data_classification  text        NOT NULL,
    required_permissions text[]      NOT NULL,
    access               jsonb       NOT NULL,
    deployments          jsonb       NOT NULL,
    operations           json        NOT NULL,
    labels               jsonb       NOT NULL,
    revision             bigint      NOT NULL,
    version              bigint      NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT resources_pkey PRIMARY KEY (name),
    CONSTRAINT resources_type_check CHECK (type IN ('skill', 'tool', 'data_source', 'data_sink', 'service')),
    CONSTRAINT resources_data_classification_check
        CHECK (data_classification IN ('public', 'low', 'medium', 'high', 'restricted'))
);

-- Says whether an environment is in use, and serves the list's filter.
CREATE INDEX resources_deployments_idx ON resources USING gin (deployments);

-- +goose Down
DROP TABLE resources;
