-- Who did what, and how it went. Rows are only ever added.

-- +goose Up
CREATE TABLE audit_events (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text        NOT NULL,
    action      text        NOT NULL,
    outcome     text        NOT NULL,
    object_kind text        NOT NULL,
    object_id   text        NOT NULL DEFAULT '',
    object_name text        NOT NULL DEFAULT '',
    team        text        NOT NULL DEFAULT '',
    request_id  text        NOT NULL DEFAULT '',
    detail      text        NOT NULL DEFAULT '',

    CONSTRAINT audit_events_pkey PRIMARY KEY (id),
    CONSTRAINT audit_events_outcome_check CHECK (outcome IN ('intent', 'success', 'failure', 'denied'))
);

-- Answers "what happened to this agent" without reading the whole log.
CREATE INDEX audit_events_object_idx ON audit_events (object_kind, object_id, id);

-- +goose Down
DROP TABLE audit_events;
