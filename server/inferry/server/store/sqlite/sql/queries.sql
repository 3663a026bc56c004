-- What the SQLite store asks. "-- name:" begins a query, the comment below it says what it is for.
-- Names in braces stand for the lists of columns in ../../rows.py, which decodes them by position, and for
-- what queries.py makes of them.

-- name: insert_task
-- Adds a task's row; the table gives it its number.
INSERT INTO tasks ({spec}, {state}) VALUES ({marks});

-- name: insert_payload
INSERT INTO payloads (task_number, body) VALUES (?, ?);

-- name: insert_event
INSERT INTO events (task_number, {event}, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_label
INSERT INTO labels (task_number, key, value, tenant) VALUES (?, ?, ?, ?);

-- name: put_epoch
INSERT OR IGNORE INTO epochs (number, tag) VALUES (?, ?);

-- name: forget_epochs
DELETE FROM epochs WHERE number <= ?;

-- name: epochs
SELECT number, tag FROM epochs ORDER BY number;

-- name: horizon
SELECT position FROM horizon WHERE one = 1;

-- name: last_position
SELECT max(position) FROM events;

-- name: logged
-- Events between two positions, with their tasks as they are now.
SELECT position, {event_of_task}, {tasks_task} FROM events JOIN tasks USING (task_number)
WHERE position > ? AND position < ? ORDER BY position LIMIT ?;

-- name: note_forgotten
-- Keeps the last position of a task's events up to a sequence number, which are dropped.
INSERT INTO horizon (one, position)
SELECT 1, max(position) FROM events WHERE task_number = ? AND seq <= ? HAVING count(*) > 0
ON CONFLICT (one) DO UPDATE SET position = max(position, excluded.position);

-- name: forget_events
-- Drops a task's events up to a sequence number.
DELETE FROM events WHERE task_number = ? AND seq <= ?;

-- name: insert_attempt
INSERT INTO attempts (task_number, {attempt}) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: merge_outcome
-- Adds what a task ended with to what is stored: NULL leaves it.
INSERT INTO outcomes (task_number, result, details, late_result) VALUES (?, ?, ?, ?)
ON CONFLICT (task_number) DO UPDATE SET
    result = coalesce(excluded.result, result),
    details = coalesce(excluded.details, details),
    late_result = coalesce(excluded.late_result, late_result);

-- name: clear_outcome
DELETE FROM outcomes WHERE task_number = ?;

-- name: update_report
-- Writes what a progress report changes: touches no index.
UPDATE tasks SET {report_marks} WHERE task_number = ?;

-- name: update_status
-- Writes what an acceptance changes.
UPDATE tasks SET {report_marks}, status = ? WHERE task_number = ?;

-- name: update_ending
-- Writes what the end of a task changes.
UPDATE tasks SET {report_marks}, status = ?, {ending_marks} WHERE task_number = ?;

-- name: update_state
-- Writes all that can change. An UPDATE rewrites the index entries of every column it names, so
-- the lesser ones above take half the time.
UPDATE tasks SET {state_marks} WHERE task_number = ?;

-- name: task
-- Of a tenant, or of any: to the others it is not there.
SELECT {task} FROM tasks WHERE id = ? AND tenant = ifnull(?, tenant);

-- name: task_and_payload
SELECT {task}, body FROM tasks JOIN payloads USING (task_number) WHERE id = ?;

-- name: tombstone
SELECT 1 FROM tombstones WHERE id = ? AND tenant = ifnull(?, tenant);

-- name: put_server
-- Adds a server; the one that has its tenant, url and name is renewed instead.
INSERT INTO servers ({server}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, url, name) DO UPDATE SET
    capabilities = excluded.capabilities,
    max_concurrent = excluded.max_concurrent,
    metadata = excluded.metadata,
    private_allowed = excluded.private_allowed,
    updated_ms = excluded.updated_ms,
    labels = excluded.labels
RETURNING {server};

-- name: drain_server
UPDATE servers SET draining = ? WHERE id = ? RETURNING {server};

-- name: drop_server
DELETE FROM servers WHERE id = ?;

-- name: servers
SELECT {server} FROM servers;

-- name: end_retention
-- If it is final, and as it was seen: the time to drop it is the first there is.
UPDATE tasks SET purge_ms = 1 WHERE id = ? AND seq = ? AND purge_ms > 1;

-- name: bury
-- The first step of a purge: keeps the ids until :until_ms. All steps name the same tasks.
INSERT INTO tombstones (id, tenant, until_ms)
SELECT id, tenant, :until_ms FROM tasks WHERE task_number IN ({due});

-- name: purge_payloads
DELETE FROM payloads WHERE task_number IN ({due});

-- name: purge_outcomes
DELETE FROM outcomes WHERE task_number IN ({due});

-- name: purge_labels
DELETE FROM labels WHERE task_number IN ({due});

-- name: note_purged
-- Keeps the last position of the events that a purge drops.
INSERT INTO horizon (one, position)
SELECT 1, max(position) FROM events WHERE task_number IN ({due}) HAVING count(*) > 0
ON CONFLICT (one) DO UPDATE SET position = max(position, excluded.position);

-- name: purge_events
DELETE FROM events WHERE task_number IN ({due});

-- name: purge_attempts
DELETE FROM attempts WHERE task_number IN ({due});

-- name: purge_webhooks
-- Those of their own, unless there is still something to tell.
DELETE FROM webhooks WHERE id IN (
    SELECT id FROM tasks WHERE webhook_events > 0 AND task_number IN ({due})
) AND NOT EXISTS (
    SELECT 1 FROM deliveries WHERE task_id = webhooks.id AND webhook_id = webhooks.id
);

-- name: purge_tasks
-- The last step of a purge.
DELETE FROM tasks WHERE task_number IN ({due});

-- name: request_id
-- Finds what a request with this name created, unless it was too long ago.
SELECT digest, task_id FROM request_ids WHERE tenant = ? AND request_id = ? AND until_ms > ?;

-- name: put_request_id
INSERT OR REPLACE INTO request_ids (tenant, request_id, digest, task_id, until_ms)
VALUES (?, ?, ?, ?, ?);

-- name: forget_request_ids
-- Drops names of requests that were kept long enough.
DELETE FROM request_ids WHERE (tenant, request_id) IN (
    SELECT tenant, request_id FROM request_ids WHERE until_ms <= :now_ms
    ORDER BY until_ms LIMIT :limit
);

-- name: forget_tombstones
-- Drops ids that were kept long enough.
DELETE FROM tombstones WHERE id IN (
    SELECT id FROM tombstones WHERE until_ms <= :now_ms ORDER BY until_ms LIMIT :limit
);

-- name: payload
SELECT body FROM payloads WHERE task_number = (SELECT task_number FROM tasks WHERE id = ?);

-- name: outcome
SELECT result, details, late_result FROM outcomes
WHERE task_number = (SELECT task_number FROM tasks WHERE id = ?);

-- name: events
SELECT {event} FROM events
WHERE task_number = (SELECT task_number FROM tasks WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: attempts
SELECT {attempt} FROM attempts
WHERE task_number = (SELECT task_number FROM tasks WHERE id = ?) ORDER BY number;

-- name: tasks
-- One page of a list; {filters} is one of the combinations of its filters.
SELECT {task} FROM tasks WHERE {filters} AND task_number < ? ORDER BY task_number DESC LIMIT ?;

-- name: labelled
-- The same, of tasks with a label. {filters} may ask for more.
SELECT {tasks_task} FROM labels CROSS JOIN tasks USING (task_number)
WHERE labels.tenant = ? AND labels.key = ? AND labels.value = ? AND labels.task_number < ?{filters}
ORDER BY labels.task_number DESC LIMIT ?;

-- name: tenants
-- Lists the tenants by leaping from each to the next in the index.
WITH RECURSIVE leap (tenant) AS (
    SELECT min(tenant) FROM tasks
    UNION ALL
    SELECT (SELECT min(tenant) FROM tasks WHERE tenant > leap.tenant) FROM leap
    WHERE leap.tenant IS NOT NULL
)
SELECT tenant FROM leap WHERE tenant IS NOT NULL;

-- name: expired_waiting
SELECT deadline_ms, id FROM tasks
WHERE deadline_ms > 0 AND deadline_ms <= ? AND server_id IS NULL ORDER BY deadline_ms LIMIT ?;

-- name: expired_running
SELECT deadline_ms, id FROM tasks
WHERE deadline_ms > 0 AND deadline_ms <= ? AND server_id IS NOT NULL ORDER BY deadline_ms LIMIT ?;

-- name: first_deadline
-- Of what waits, and of what runs.
SELECT min(deadline_ms) FROM tasks WHERE deadline_ms > 0 AND server_id IS NULL
UNION ALL
SELECT min(deadline_ms) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL;

-- name: postpone_running
UPDATE tasks SET
    deadline_ms = :until_ms,
    attempt_deadline_ms = max(attempt_deadline_ms, :until_ms),
    total_deadline_ms = max(total_deadline_ms, :until_ms)
WHERE task_number IN (
    SELECT task_number FROM tasks
    WHERE deadline_ms > 0 AND server_id IS NOT NULL AND deadline_ms < :until_ms
    ORDER BY deadline_ms LIMIT :limit
);

-- name: postpone_waiting
UPDATE tasks SET
    deadline_ms = :until_ms,
    queue_deadline_ms = max(queue_deadline_ms, :until_ms),
    total_deadline_ms = max(total_deadline_ms, :until_ms)
WHERE task_number IN (
    SELECT task_number FROM tasks
    WHERE deadline_ms > 0 AND server_id IS NULL AND deadline_ms < :until_ms
    ORDER BY deadline_ms LIMIT :limit
);

-- name: postpone_queue
-- A wait that goes on when the server gives its task back; it walks over what runs alone.
UPDATE tasks SET queue_deadline_ms = :until_ms
WHERE deadline_ms > 0 AND server_id IS NOT NULL AND queue_deadline_ms < :until_ms;

-- name: note_time
INSERT INTO clock (one, latest_ms) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET latest_ms = max(latest_ms, excluded.latest_ms);

-- name: latest_time
SELECT latest_ms FROM clock WHERE one = 1;

-- name: running
SELECT {task} FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL;

-- name: waiting_counts
SELECT tenant, type, tasks FROM waiting;

-- name: count_waiting
INSERT OR REPLACE INTO waiting (tenant, type, tasks) VALUES (?, ?, ?);

-- name: count_none_waiting
DELETE FROM waiting WHERE tenant = ? AND type = ?;

-- name: delayed_counts
SELECT type, count(*) FROM tasks WHERE not_before_ms > 0 AND not_before_ms > ? GROUP BY type;

-- name: running_counts
SELECT type, count(*) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL GROUP BY type;

-- name: size_bytes
SELECT page_count * page_size FROM pragma_page_count, pragma_page_size;

-- name: waiting_routes
-- Leaps from route to route: each step is one search, however many tasks have it.
WITH RECURSIVE leap (route) AS (
    SELECT min(route) FROM tasks WHERE deadline_ms > 0 AND server_id IS NULL AND route > :after
    UNION ALL
    SELECT (
        SELECT min(route) FROM tasks
        WHERE deadline_ms > 0 AND server_id IS NULL AND route > leap.route
    )
    FROM leap WHERE leap.route IS NOT NULL
    LIMIT :limit
)
SELECT route FROM leap WHERE route IS NOT NULL;

-- name: waiting_lines
-- Leaps so from line to line of a route, by the first task of each.
WITH RECURSIVE leap (number) AS (
    SELECT (
        SELECT task_number FROM tasks
        WHERE deadline_ms > 0 AND server_id IS NULL AND route = :route
            AND (tenant, priority) > (:tenant, :priority)
        ORDER BY tenant, priority LIMIT 1
    )
    UNION ALL
    SELECT coalesce((
        SELECT next.task_number FROM tasks AS next
        WHERE next.deadline_ms > 0 AND next.server_id IS NULL AND next.route = :route
            AND next.tenant = here.tenant AND next.priority > here.priority
        ORDER BY next.priority LIMIT 1
    ), (
        SELECT next.task_number FROM tasks AS next
        WHERE next.deadline_ms > 0 AND next.server_id IS NULL AND next.route = :route
            AND next.tenant > here.tenant
        ORDER BY next.tenant, next.priority LIMIT 1
    ))
    FROM leap JOIN tasks AS here ON here.task_number = leap.number
    LIMIT :limit
)
SELECT tenant, priority FROM leap JOIN tasks ON task_number = number;

-- name: waiting_tasks
-- Those of a line, from a key on.
SELECT id, route, tenant, priority, queued_ms, not_before_ms FROM tasks
WHERE deadline_ms > 0 AND server_id IS NULL AND route = ? AND tenant = ? AND priority = ?
    AND (queued_ms, id) >= (?, ?)
ORDER BY queued_ms, id LIMIT ?;

-- name: stopped
-- Attempts that timed out or were aborted. A digest is that of the report that ended the latest one.
SELECT id, {stopped} FROM attempts JOIN tasks USING (task_number)
WHERE outcome IN (6, 7) AND ended_ms > ? AND (digest = x'' OR attempt > number);

-- name: pause_type
INSERT OR REPLACE INTO paused_types (type, reason, since_ms) VALUES (?, ?, ?);

-- name: resume_type
DELETE FROM paused_types WHERE type = ?;

-- name: paused_types
SELECT type, reason, since_ms FROM paused_types;

-- name: figure
-- A cell as this start has it so far.
SELECT {cell} FROM figures WHERE step_s = ? AND type = ? AND at_s = ? AND number = ?;

-- name: put_figure
INSERT OR REPLACE INTO figures (step_s, type, at_s, number, {cell})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: counted
SELECT n FROM counted WHERE number = ?;

-- name: put_counted
INSERT OR REPLACE INTO counted (number, n) VALUES (?, ?);

-- name: forget_figures
-- Drops cells that were kept long enough.
DELETE FROM figures WHERE (step_s, type, at_s, number) IN (
    SELECT step_s, type, at_s, number FROM figures
    WHERE step_s = :step_s AND at_s < :before_s ORDER BY at_s LIMIT :limit
);

-- name: forget_counted
-- Drops what is known of starts that left nothing to be counted any more.
DELETE FROM counted WHERE number < (SELECT min(number) FROM epochs);

-- name: figures
SELECT at_s, {cell} FROM figures
WHERE step_s = ? AND type = ? AND at_s >= ? AND at_s < ? ORDER BY at_s;

-- name: figure_types
-- Leaps from type to type, and looks whether each has a cell in the span.
WITH RECURSIVE leap (type) AS (
    SELECT min(type) FROM figures WHERE step_s = :step_s AND type > ''
    UNION ALL
    SELECT (SELECT min(type) FROM figures WHERE step_s = :step_s AND type > leap.type) FROM leap
    WHERE leap.type IS NOT NULL
)
SELECT type FROM leap WHERE EXISTS (
    SELECT 1 FROM figures
    WHERE step_s = :step_s AND type = leap.type AND at_s >= :from_s AND at_s < :to_s
);

-- name: uncounted
-- Of each start the last event that it left, and how many of its events are in the figures.
SELECT number, ifnull((SELECT n FROM counted WHERE counted.number = epochs.number), 0), (
    SELECT max(position) FROM events
    WHERE position > number << {bits} AND position < (number + 1) << {bits}
) FROM epochs WHERE number < ? ORDER BY number;

-- name: running_counts
SELECT type, count(*) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL GROUP BY type;

-- name: put_code
INSERT INTO codes ({code}) VALUES (?, ?, ?, ?, ?, ?);

-- name: take_code
DELETE FROM codes WHERE hash = ? RETURNING {code};

-- name: has_code
SELECT 1 FROM codes WHERE hash = ?;

-- name: forget_codes
DELETE FROM codes WHERE hash IN (
    SELECT hash FROM codes WHERE until_ms <= :now_ms ORDER BY until_ms LIMIT :limit
);

-- name: failures
-- Those of a span of time that ended before one, latest first.
SELECT id, type, code, error, finished_ms, task_number FROM tasks
WHERE status IN (4, 5) AND finished_ms >= ? AND (finished_ms, task_number) < (?, ?)
ORDER BY finished_ms DESC, task_number DESC LIMIT ?;
