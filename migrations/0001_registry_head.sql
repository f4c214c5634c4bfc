-- The number of the registry's state, and what led to each state.

-- +goose Up
CREATE TABLE registry_head (
    singleton boolean NOT NULL DEFAULT true,
    epoch     text    NOT NULL,
    revision  bigint  NOT NULL DEFAULT 0,

    CONSTRAINT registry_head_pkey PRIMARY KEY (singleton),
    CONSTRAINT registry_head_one_row_check CHECK (singleton),
    CONSTRAINT registry_head_epoch_check CHECK (epoch ~ '^[0-9a-f]{16}$'),
    CONSTRAINT registry_head_revision_check CHECK (revision >= 0)
);
INSERT INTO registry_head (epoch) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 16));

-- One row a revision: what the object looks like from then on, as policy may see
-- it. A null after-image says that the object is gone. The scopes are those
-- that the object was in and is in now: an environment's name, or * for all.
CREATE TABLE changes (
    epoch     text        NOT NULL,
    revision  bigint      NOT NULL,
    kind      text        NOT NULL,
    object_id text        NOT NULL,
    old_scope text,
    new_scope text,
    after     jsonb,
    at        timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT changes_pkey PRIMARY KEY (epoch, revision),
    CONSTRAINT changes_kind_check CHECK (kind IN ('agent', 'environment', 'agent_type', 'team')),
    CONSTRAINT changes_scope_check CHECK (old_scope IS NOT NULL OR new_scope IS NOT NULL)
);

-- +goose Down
DROP TABLE changes;
DROP TABLE registry_head;
