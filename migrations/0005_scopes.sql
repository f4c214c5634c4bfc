-- Which revision last touched what a scope's bundle holds.

-- +goose Up
CREATE TABLE scopes (
    name     text   NOT NULL,
    revision bigint NOT NULL,

    CONSTRAINT scopes_pkey PRIMARY KEY (name)
);
-- What exists already was last touched by the newest of its rows.
INSERT INTO scopes (name, revision)
SELECT e.name, GREATEST(e.revision, (SELECT COALESCE(max(a.revision), 0) FROM agents a WHERE a.environment = e.name))
FROM environments e;

ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team', 'resource', 'platform_policy'));

-- +goose Down
DELETE FROM changes WHERE kind IN ('resource', 'platform_policy');
ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team'));
DROP TABLE scopes;
