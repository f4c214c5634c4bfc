-- The platform's own Rego, as it was activated: replicas serve what stands here,
-- never what their binary holds.

-- +goose Up
CREATE TABLE platform_policies (
    hash       text        NOT NULL,
    version    bigint      NOT NULL,
    layout     bigint      NOT NULL,
    modules    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT platform_policies_pkey PRIMARY KEY (hash),
    CONSTRAINT platform_policies_hash_check CHECK (hash ~ '^[0-9a-f]{64}$')
);

CREATE TABLE active_platform_policy (
    singleton boolean NOT NULL DEFAULT true,
    hash      text    NOT NULL,
    revision  bigint  NOT NULL,

    CONSTRAINT active_platform_policy_pkey PRIMARY KEY (singleton),
    CONSTRAINT active_platform_policy_one_row_check CHECK (singleton),
    CONSTRAINT active_platform_policy_hash_fkey FOREIGN KEY (hash) REFERENCES platform_policies (hash)
);

-- +goose Down
DROP TABLE active_platform_policy;
DROP TABLE platform_policies;
