-- Webhooks, and what they are to be told.

CREATE TABLE webhooks (
    -- Of one that belongs to a task, the task's.
    id          TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant      TEXT    NOT NULL,
    url         TEXT    NOT NULL CHECK (url <> ''),
    host        TEXT    NOT NULL CHECK (host <> ''),
    -- See hook.HookEvent.
    events      INTEGER NOT NULL CHECK (events BETWEEN 1 AND 7),
    created_ms  INTEGER NOT NULL CHECK (created_ms > 0),
    updated_ms  INTEGER NOT NULL CHECK (updated_ms > 0),
    -- A JSON array of strings.
    types       BLOB    NOT NULL,
    -- A JSON object of strings.
    labels      BLOB    NOT NULL,
    description TEXT    NOT NULL,
    -- A JSON array: each secret with the time when it ends.
    secrets     BLOB    NOT NULL,
    ed25519     INTEGER NOT NULL CHECK (ed25519 IN (0, 1)),
    -- Why it hears of nothing.
    disabled    TEXT    NOT NULL,
    own         INTEGER NOT NULL CHECK (own IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_tenant ON webhooks (tenant, id) WHERE own = 0;

-- What was, or is to be, told to a webhook of an event: written with the event. Of those of a task
-- and a webhook that wait, the first alone has a time; the others follow on it.
CREATE TABLE deliveries (
    task_id    TEXT    NOT NULL CHECK (task_id <> ''),
    webhook_id TEXT    NOT NULL CHECK (webhook_id <> ''),
    seq        INTEGER NOT NULL CHECK (seq > 0),
    tenant     TEXT    NOT NULL,
    event      INTEGER NOT NULL CHECK (event IN (1, 2, 4)),
    host       TEXT    NOT NULL CHECK (host <> ''),
    body       BLOB    NOT NULL,
    created_ms INTEGER NOT NULL CHECK (created_ms > 0),
    -- 1 waits, 2 was delivered, 3 was given up.
    state      INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    tries      INTEGER NOT NULL CHECK (tries >= 0),
    next_ms    INTEGER NOT NULL CHECK (next_ms >= 0),
    -- The tag of the start of the gateway that is about to send it.
    claimed    INTEGER NOT NULL CHECK (claimed >= 0),
    ended_ms   INTEGER NOT NULL CHECK (ended_ms >= 0),
    -- The latest tries, a JSON array.
    attempts   BLOB    NOT NULL,
    PRIMARY KEY (task_id, webhook_id, seq),
    CONSTRAINT only_what_waits_has_a_time CHECK (state = 1 OR (next_ms = 0 AND claimed = 0)),
    CONSTRAINT what_was_told_has_ended CHECK ((state = 1) = (ended_ms = 0))
) STRICT;
CREATE INDEX deliveries_host ON deliveries (host, next_ms) WHERE next_ms > 0 AND claimed = 0;
CREATE INDEX deliveries_claimed ON deliveries (claimed) WHERE claimed > 0;
CREATE INDEX deliveries_ended ON deliveries (ended_ms) WHERE ended_ms > 0;
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, state, created_ms);
