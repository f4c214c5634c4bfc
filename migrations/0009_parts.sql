-- A scope's bundle comes in parts too, and each says how old what it says is.

-- +goose Up
ALTER TABLE scopes ADD COLUMN part text NOT NULL DEFAULT '';
ALTER TABLE scopes ADD COLUMN as_of timestamptz NOT NULL DEFAULT now();
ALTER TABLE scopes DROP CONSTRAINT scopes_pkey;
ALTER TABLE scopes ADD CONSTRAINT scopes_pkey PRIMARY KEY (name, part);
-- What exists already was last touched when its scope was.
INSERT INTO scopes (name, part, revision)
SELECT s.name, p.part, s.revision
FROM scopes s, unnest(ARRAY['policy', 'resources'] || ARRAY(SELECT 'agents-' || to_hex(n) FROM generate_series(0, 15) n)) AS p (part);

ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team', 'resource', 'platform_policy', 'layer', 'heartbeat'));

-- +goose Down
DELETE FROM changes WHERE kind IN ('layer', 'heartbeat');
ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team', 'resource', 'platform_policy'));
DELETE FROM scopes WHERE part <> '';
ALTER TABLE scopes DROP CONSTRAINT scopes_pkey;
ALTER TABLE scopes ADD CONSTRAINT scopes_pkey PRIMARY KEY (name);
ALTER TABLE scopes DROP COLUMN as_of;
ALTER TABLE scopes DROP COLUMN part;
