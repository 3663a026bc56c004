-- Tasks, their events and attempts, and servers.
--
-- Times are milliseconds since 1970-01-01 UTC; 0 means "none". JSON is kept as the bytes of its
-- text. Enumerations are numbered as in inferry.v1. Rows of one task in different tables meet by
-- its number: foreign keys would cost a look-up a row, and one writer with one way to purge keeps
-- them together.

CREATE TABLE tasks (
    -- What its creator said. Tasks are numbered in the order of creation.
    task_number       INTEGER PRIMARY KEY,
    id                TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    tenant            TEXT    NOT NULL,
    type              TEXT    NOT NULL CHECK (type <> ''),
    -- The type and, a line each, the capabilities: see route.route_of.
    route             TEXT    NOT NULL CHECK (route <> ''),
    labels            BLOB    NOT NULL,
    asynchronous      INTEGER NOT NULL CHECK (asynchronous IN (0, 1)),
    priority          INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    timeout_ms        INTEGER NOT NULL CHECK (timeout_ms > 0),
    queue_timeout_ms  INTEGER NOT NULL CHECK (queue_timeout_ms > 0),
    silence_timeout_ms INTEGER NOT NULL CHECK (silence_timeout_ms >= 0),
    total_timeout_ms  INTEGER NOT NULL CHECK (total_timeout_ms > 0),
    result_ttl_ms     INTEGER NOT NULL CHECK (result_ttl_ms >= 0),
    max_attempts      INTEGER NOT NULL CHECK (max_attempts > 0),
    idempotent        INTEGER NOT NULL CHECK (idempotent IN (0, 1)),
    created_ms        INTEGER NOT NULL CHECK (created_ms > 0),
    -- The trace that it belongs to, as W3C has it.
    traceparent       TEXT    NOT NULL,
    tracestate        TEXT    NOT NULL,
    -- What a webhook of its own hears of; see hook.HookEvent.
    webhook_events    INTEGER NOT NULL CHECK (webhook_events BETWEEN 0 AND 7),
    -- Where it stands.
    status            INTEGER NOT NULL CHECK (status BETWEEN 1 AND 6),
    seq               INTEGER NOT NULL CHECK (seq > 0),
    updated_ms        INTEGER NOT NULL CHECK (updated_ms > 0),
    progress          REAL    NOT NULL CHECK (progress BETWEEN 0 AND 100),
    message           TEXT    NOT NULL,
    not_before_ms     INTEGER NOT NULL CHECK (not_before_ms >= 0),
    total_deadline_ms INTEGER NOT NULL CHECK (total_deadline_ms > 0),
    deadline_ms       INTEGER NOT NULL CHECK (deadline_ms >= 0),
    attempt_deadline_ms INTEGER NOT NULL CHECK (attempt_deadline_ms >= 0),
    attempt           INTEGER NOT NULL CHECK (attempt >= 0),
    attempts_counted  INTEGER NOT NULL CHECK (attempts_counted BETWEEN 0 AND attempt),
    server_id         TEXT,
    started_ms        INTEGER NOT NULL CHECK (started_ms >= 0),
    queued_ms         INTEGER NOT NULL CHECK (queued_ms > 0),
    -- Times when servers died with it, a space between two.
    losses            TEXT    NOT NULL,
    -- Why the last report of the latest attempt was refused.
    flaw              TEXT    NOT NULL,
    queue_deadline_ms INTEGER NOT NULL CHECK (queue_deadline_ms > 0),
    error             TEXT    NOT NULL,
    code              TEXT    NOT NULL,
    finished_ms       INTEGER NOT NULL CHECK (finished_ms >= 0),
    purge_ms          INTEGER NOT NULL CHECK (purge_ms >= 0),
    digest            BLOB    NOT NULL,

    CONSTRAINT final_has_finished_ms  CHECK ((status >= 3) = (finished_ms > 0)),
    CONSTRAINT final_has_purge_ms     CHECK ((status >= 3) = (purge_ms > 0)),
    CONSTRAINT final_has_no_deadline  CHECK ((status >= 3) = (deadline_ms = 0)),
    CONSTRAINT open_attempt_has_deadline
        CHECK ((attempt_deadline_ms > 0) = (status < 3 AND server_id IS NOT NULL)),
    CONSTRAINT processing_has_server  CHECK (status <> 2 OR server_id IS NOT NULL),
    CONSTRAINT server_has_attempt     CHECK (server_id IS NULL OR attempt > 0),
    CONSTRAINT only_waiting_is_delayed
        CHECK (not_before_ms = 0 OR (status = 1 AND server_id IS NULL))
) STRICT;

-- No index holds progress, message, updated_ms or seq: a progress report touches no index at all.

-- The deadlines. Every task that is not final has a deadline; those that run stand apart from those
-- that wait, so that they are found however many wait.
CREATE INDEX tasks_running ON tasks (deadline_ms) WHERE deadline_ms > 0 AND server_id IS NOT NULL;
CREATE INDEX tasks_waiting ON tasks (deadline_ms) WHERE deadline_ms > 0 AND server_id IS NULL;
-- The lines of those that wait, each in its order: memory holds their beginnings. A task that gets
-- its server as it is created is never in here.
CREATE INDEX tasks_line ON tasks (route, tenant, priority, queued_ms, id)
    WHERE deadline_ms > 0 AND server_id IS NULL;
-- Those that are to wait for their time, by type, to count them.
CREATE INDEX tasks_delayed ON tasks (type, not_before_ms) WHERE not_before_ms > 0;
CREATE INDEX tasks_purge ON tasks (purge_ms) WHERE purge_ms > 0;
-- Lists, each a tenant's.
CREATE INDEX tasks_tenant ON tasks (tenant, task_number);
CREATE INDEX tasks_status ON tasks (tenant, status, task_number);
CREATE INDEX tasks_type ON tasks (tenant, type, task_number);
CREATE INDEX tasks_server ON tasks (tenant, server_id, task_number) WHERE server_id IS NOT NULL;
CREATE INDEX tasks_code ON tasks (tenant, code, task_number) WHERE code <> '';
-- Those that ended badly, all tenants' in the order of their ends.
CREATE INDEX tasks_failed ON tasks (finished_ms, task_number) WHERE status IN (4, 5);

-- How many tasks wait, of each tenant and type of which any do.
CREATE TABLE waiting (
    tenant TEXT    NOT NULL,
    type   TEXT    NOT NULL CHECK (type <> ''),
    tasks  INTEGER NOT NULL CHECK (tasks > 0),
    PRIMARY KEY (tenant, type)
) STRICT, WITHOUT ROWID;

-- Payloads and outcomes live apart from the rows that change.
CREATE TABLE payloads (
    task_number INTEGER PRIMARY KEY,
    body        BLOB NOT NULL
) STRICT;

CREATE TABLE outcomes (
    task_number INTEGER PRIMARY KEY,
    result      BLOB,
    details     BLOB,
    late_result BLOB,
    CONSTRAINT has_something CHECK (coalesce(result, details, late_result) IS NOT NULL)
) STRICT;

CREATE TABLE events (
    task_number INTEGER NOT NULL,
    seq         INTEGER NOT NULL CHECK (seq > 0),
    at_ms       INTEGER NOT NULL CHECK (at_ms > 0),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 8 OR kind IN (10, 12)),
    status      INTEGER NOT NULL CHECK (status BETWEEN 1 AND 6),
    progress    REAL    NOT NULL CHECK (progress BETWEEN 0 AND 100),
    message     TEXT    NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt >= 0),
    server_id   TEXT,
    -- Its place among all events: see positions.py.
    position    INTEGER NOT NULL CHECK (position > 0),
    PRIMARY KEY (task_number, seq)
) STRICT, WITHOUT ROWID;

-- Watchers of many tasks go on after a position.
CREATE INDEX events_position ON events (position);

-- The starts of the gateway, each with a random tag: a cursor that somebody kept names the start by
-- that, so that it means nothing to another database.
CREATE TABLE epochs (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    tag    INTEGER NOT NULL CHECK (tag >= 0)
) STRICT;

-- The last position whose event was dropped, in one row: of what follows it, all is there.
CREATE TABLE horizon (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL CHECK (position > 0)
) STRICT;

-- Labels, of those tasks that have any, to find the tasks by.
CREATE TABLE labels (
    task_number INTEGER NOT NULL,
    key         TEXT    NOT NULL CHECK (key <> ''),
    value       TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    PRIMARY KEY (task_number, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_tasks ON labels (tenant, key, value, task_number);

-- Attempts that have ended; the open one stands in its task's row.
CREATE TABLE attempts (
    task_number INTEGER NOT NULL,
    number      INTEGER NOT NULL CHECK (number > 0),
    server_id   TEXT    NOT NULL CHECK (server_id <> ''),
    outcome     INTEGER NOT NULL CHECK (outcome BETWEEN 2 AND 8),
    error       TEXT    NOT NULL,
    started_ms  INTEGER NOT NULL CHECK (started_ms > 0),
    ended_ms    INTEGER NOT NULL CHECK (ended_ms > 0),
    PRIMARY KEY (task_number, number)
) STRICT, WITHOUT ROWID;

-- Those that timed out or were aborted: for a while their servers may not know.
CREATE INDEX attempts_stopped ON attempts (ended_ms) WHERE outcome IN (6, 7);

CREATE TABLE servers (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    url             TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    -- A JSON array of strings.
    capabilities    BLOB    NOT NULL,
    max_concurrent  INTEGER NOT NULL CHECK (max_concurrent > 0),
    metadata        BLOB    NOT NULL,
    draining        INTEGER NOT NULL CHECK (draining IN (0, 1)),
    private_allowed INTEGER NOT NULL CHECK (private_allowed IN (0, 1)),
    created_ms      INTEGER NOT NULL CHECK (created_ms > 0),
    updated_ms      INTEGER NOT NULL CHECK (updated_ms > 0),
    transport       INTEGER NOT NULL CHECK (transport IN (1, 2)),
    tenant          TEXT    NOT NULL,
    -- A JSON object of strings.
    labels          BLOB    NOT NULL,
    CONSTRAINT a_worker_has_a_tenant_in_place_of_a_url
        CHECK ((transport = 2) = (url = '') AND (transport = 2) = (tenant <> '')),
    CONSTRAINT tenant_url_and_name_make_the_server UNIQUE (tenant, url, name)
) STRICT, WITHOUT ROWID;

-- The latest time in all this, to a second, in one row: time goes on from there after a restart,
-- even if the machine's clock was set back meanwhile.
CREATE TABLE clock (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    latest_ms INTEGER NOT NULL CHECK (latest_ms > 0)
) STRICT;

-- Types whose tasks are held back.
CREATE TABLE paused_types (
    type     TEXT    NOT NULL PRIMARY KEY CHECK (type <> ''),
    reason   TEXT    NOT NULL,
    since_ms INTEGER NOT NULL CHECK (since_ms > 0)
) STRICT, WITHOUT ROWID;

-- What callers named their requests to create, so that the same request creates one task.
CREATE TABLE request_ids (
    tenant     TEXT    NOT NULL,
    request_id TEXT    NOT NULL CHECK (request_id <> ''),
    -- Of the request without its name.
    digest     BLOB    NOT NULL,
    task_id    TEXT    NOT NULL CHECK (task_id <> ''),
    until_ms   INTEGER NOT NULL CHECK (until_ms > 0),
    PRIMARY KEY (tenant, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_ids_until ON request_ids (until_ms);

-- Ids of purged tasks, so that a look-up can say that they are gone, to their tenant alone.
CREATE TABLE tombstones (
    id       TEXT    NOT NULL PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_until ON tombstones (until_ms);

-- What happened to tasks: counts by minute and by hour, of each type, of the others together and of
-- all ('' is all). Each start of the gateway adds to rows of its own.
CREATE TABLE figures (
    step_s    INTEGER NOT NULL CHECK (step_s IN (60, 3600)),
    type      TEXT    NOT NULL,
    at_s      INTEGER NOT NULL CHECK (at_s >= 0 AND at_s % step_s = 0),
    number    INTEGER NOT NULL CHECK (number > 0),
    created   INTEGER NOT NULL CHECK (created >= 0),
    completed INTEGER NOT NULL CHECK (completed >= 0),
    failed    INTEGER NOT NULL CHECK (failed >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    -- JSON objects: how many durations were in which bucket; see buckets.py.
    waits     BLOB    NOT NULL,
    runs      BLOB    NOT NULL,
    -- When it was last looked how many wait and run, 0 for never, and how many did.
    sampled_s INTEGER NOT NULL CHECK (sampled_s >= 0),
    waiting   INTEGER NOT NULL CHECK (waiting >= 0),
    running   INTEGER NOT NULL CHECK (running >= 0),
    PRIMARY KEY (step_s, type, at_s, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX figures_at ON figures (step_s, at_s);

-- Of each start how many of its events are in the figures.
CREATE TABLE counted (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    n      INTEGER NOT NULL CHECK (n > 0)
) STRICT;

-- One-time codes that stand for tokens: their hashes, and what the tokens may be.
CREATE TABLE codes (
    hash       BLOB    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    -- When the token of who asked expires.
    expires_ms INTEGER NOT NULL CHECK (expires_ms > 0),
    -- When the code does.
    until_ms   INTEGER NOT NULL CHECK (until_ms > 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_until ON codes (until_ms);
