-- A scope's bundle comes in parts too, and each says how old what it says is.

-- +goose Up
ALTER TABLE scopes ADD COLUMN as_of timestamptz NOT NULL DEFAULT now();
-- The revision again, by code that knows of parts.
ALTER TABLE scopes ADD COLUMN parts_at bigint NOT NULL DEFAULT 0;

CREATE TABLE scope_parts (
    name     text        NOT NULL,
    part     text        NOT NULL,
    revision bigint      NOT NULL,
    as_of    timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT scope_parts_pkey PRIMARY KEY (name, part)
);
-- What exists already was last touched when its scope was.
INSERT INTO scope_parts (name, part, revision)
SELECT s.name, p.part, s.revision
FROM scopes s, unnest(ARRAY['policy', 'resources'] || ARRAY(SELECT 'agents-' || to_hex(n) FROM generate_series(0, 15) n)) AS p (part);

-- Servers of the release before write on until they are replaced, and say nothing of
-- parts: what they touch may be in any.
-- +goose StatementBegin
CREATE FUNCTION credence_touch_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.as_of := now();
    UPDATE scope_parts SET revision = NEW.revision, as_of = now() WHERE name = NEW.name;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER scopes_touch_parts BEFORE UPDATE ON scopes
    FOR EACH ROW WHEN (NEW.revision <> OLD.revision AND NEW.parts_at = OLD.parts_at)
    EXECUTE FUNCTION credence_touch_parts();

-- +goose StatementBegin
CREATE FUNCTION credence_make_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO scope_parts (name, part, revision)
    SELECT NEW.name, p.part, NEW.revision
    FROM unnest(ARRAY['policy', 'resources'] || ARRAY(SELECT 'agents-' || to_hex(n) FROM generate_series(0, 15) n)) AS p (part)
    ON CONFLICT (name, part) DO UPDATE SET revision = excluded.revision, as_of = now();
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER scopes_make_parts AFTER INSERT ON scopes
    FOR EACH ROW WHEN (NEW.parts_at = 0)
    EXECUTE FUNCTION credence_make_parts();

ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team', 'resource', 'platform_policy', 'layer', 'heartbeat'));

-- +goose Down
DELETE FROM changes WHERE kind IN ('layer', 'heartbeat');
ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check
    CHECK (kind IN ('agent', 'environment', 'agent_type', 'team', 'resource', 'platform_policy'));
DROP TRIGGER scopes_make_parts ON scopes;
DROP FUNCTION credence_make_parts;
DROP TRIGGER scopes_touch_parts ON scopes;
DROP FUNCTION credence_touch_parts;
DROP TABLE scope_parts;
ALTER TABLE scopes DROP COLUMN parts_at;
ALTER TABLE scopes DROP COLUMN as_of;
