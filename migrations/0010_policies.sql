-- The layers of policy: each tier's rules for one id, and what they were before.

-- +goose Up
CREATE TABLE policies (
    tier        text        NOT NULL,
    id          text        NOT NULL,
    -- That of the agent whose layer it is. An agent keeps its environment for life.
    environment text        NOT NULL DEFAULT '',
    rules       jsonb       NOT NULL,
    rego        text        NOT NULL,
    -- The module before rego that was another one: it stays in force where rego does
    -- not compile.
    previous    text        NOT NULL DEFAULT '',
    tests       text        NOT NULL,
    required    boolean     NOT NULL,
    ceiling     jsonb,
    revision    bigint      NOT NULL,
    version     bigint      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    agent_id    uuid        GENERATED ALWAYS AS (CASE tier WHEN 'agent' THEN id::uuid END) STORED,

    CONSTRAINT policies_pkey PRIMARY KEY (tier, id),
    CONSTRAINT policies_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id),
    CONSTRAINT policies_tier_check CHECK (tier IN ('global', 'team', 'agent_type', 'agent')),
    -- Names reach Rego package paths and URL paths. A UUID is no name.
    CONSTRAINT policies_id_check CHECK (
        (id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$') = (tier = 'agent')
        AND id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT policies_environment_check CHECK ((tier = 'agent') = (environment <> '')),
    CONSTRAINT policies_ceiling_check CHECK (ceiling IS NULL OR tier IN ('team', 'agent_type'))
);

-- Counts the modules, of which there may be so many.
CREATE INDEX policies_modules_idx ON policies (tier, id) WHERE rego <> '';

-- Every write of a policy, its removal too, with the whole document. Versions count
-- on when a policy is removed and made anew, so that each stands for one document.
CREATE TABLE policy_versions (
    tier       text        NOT NULL,
    id         text        NOT NULL,
    version    bigint      NOT NULL,
    rules      jsonb       NOT NULL,
    rego       text        NOT NULL,
    tests      text        NOT NULL,
    required   boolean     NOT NULL,
    ceiling    jsonb,
    revision   bigint      NOT NULL,
    created_at timestamptz NOT NULL, -- of the policy
    action     text        NOT NULL,
    actor      text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT policy_versions_pkey PRIMARY KEY (tier, id, version),
    CONSTRAINT policy_versions_action_check CHECK (action IN ('put', 'rollback', 'delete'))
);
CREATE TRIGGER policy_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_versions
    FOR EACH STATEMENT EXECUTE FUNCTION credence_append_only();
ALTER TABLE policy_versions ENABLE ALWAYS TRIGGER policy_versions_append_only;

-- +goose Down
DROP TABLE policy_versions;
DROP TABLE policies;
