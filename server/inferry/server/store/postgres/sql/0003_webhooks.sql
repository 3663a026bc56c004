-- Webhooks, and what they are to be told.

CREATE TABLE webhooks (
    -- Of one that belongs to a task, the task's.
    id          text    NOT NULL COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant      text    NOT NULL COLLATE "C",
    url         text    NOT NULL CHECK (url <> ''),
    host        text    NOT NULL COLLATE "C" CHECK (host <> ''),
    -- See hook.HookEvent.
    events      bigint  NOT NULL CHECK (events BETWEEN 1 AND 7),
    created_ms  bigint  NOT NULL CHECK (created_ms > 0),
    updated_ms  bigint  NOT NULL CHECK (updated_ms > 0),
    -- A JSON array of strings.
    types       bytea   NOT NULL,
    -- A JSON object of strings.
    labels      bytea   NOT NULL,
    description text    NOT NULL,
    -- A JSON array: each secret with the time when it ends.
    secrets     bytea   NOT NULL,
    ed25519     boolean NOT NULL,
    -- Why it hears of nothing.
    disabled    text    NOT NULL,
    own         boolean NOT NULL
);
CREATE INDEX webhooks_tenant ON webhooks (tenant, id) WHERE NOT own;

-- What was, or is to be, told to a webhook of an event: written with the event. Of those of a task
-- and a webhook that wait, the first alone has a time; the others follow on it.
CREATE TABLE deliveries (
    task_id    text   NOT NULL COLLATE "C" CHECK (task_id <> ''),
    webhook_id text   NOT NULL COLLATE "C" CHECK (webhook_id <> ''),
    seq        bigint NOT NULL CHECK (seq > 0),
    tenant     text   NOT NULL COLLATE "C",
    event      bigint NOT NULL CHECK (event IN (1, 2, 4)),
    host       text   NOT NULL COLLATE "C" CHECK (host <> ''),
    body       bytea  NOT NULL,
    created_ms bigint NOT NULL CHECK (created_ms > 0),
    -- 1 waits, 2 was delivered, 3 was given up.
    state      bigint NOT NULL CHECK (state BETWEEN 1 AND 3),
    tries      bigint NOT NULL CHECK (tries >= 0),
    next_ms    bigint NOT NULL CHECK (next_ms >= 0),
    -- The replica that is about to send it.
    claimed    bigint NOT NULL CHECK (claimed >= 0),
    ended_ms   bigint NOT NULL CHECK (ended_ms >= 0),
    -- The latest tries, a JSON array.
    attempts   bytea  NOT NULL,
    PRIMARY KEY (task_id, webhook_id, seq),
    CONSTRAINT only_what_waits_has_a_time CHECK (state = 1 OR (next_ms = 0 AND claimed = 0)),
    CONSTRAINT what_was_told_has_ended CHECK ((state = 1) = (ended_ms = 0))
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX deliveries_host ON deliveries (host, next_ms) WHERE next_ms > 0 AND claimed = 0;
CREATE INDEX deliveries_claimed ON deliveries (claimed) WHERE claimed > 0;
CREATE INDEX deliveries_ended ON deliveries (ended_ms) WHERE ended_ms > 0;
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, state, created_ms);

-- How often webhooks that belong to no task were changed: whoever commits looks whether it knows.
ALTER TABLE revisions ADD COLUMN webhooks bigint NOT NULL DEFAULT 0;
