-- What the PostgreSQL store asks. "-- name:" begins a query, the comment below it says what it is
-- for. Names in braces stand for the lists of columns in ../../rows.py, which decodes them by
-- position, and for what queries.py makes of them. Many rows come as an array a column.

-- name: begin
-- Locks the replica's own row, until the commit: only while it is alive may it write, and only with
-- the webhooks that there are. The locks of limits stand before it: all that is read later is as it
-- was once they were had.
BEGIN; {session}{locks}
SELECT 1 FROM replicas CROSS JOIN revisions
WHERE number = {number} AND NOT dead AND webhooks = {webhooks} FOR NO KEY UPDATE OF replicas;

-- name: alive
SELECT 1 FROM replicas WHERE number = $1 AND NOT dead;

-- name: begin_in_a_hurry
-- Does so; from there on no row is waited for longer than a moment. Only the last statement tells.
BEGIN; {session}{locks}
SELECT 1 FROM replicas WHERE number = {number} AND NOT dead FOR NO KEY UPDATE;
SET LOCAL lock_timeout = 250;
SELECT 1 FROM replicas CROSS JOIN revisions
WHERE number = {number} AND NOT dead AND webhooks = {webhooks};

-- name: finish
-- The last of a transaction. From here on no timeout may break it off: what waits for a standby
-- would then be acknowledged without it.
UPDATE replicas SET head = {head}, commits = {commits}, waiting = waiting + {waiting},
    latest_ms = greatest(latest_ms, {latest_ms})
WHERE number = {number}; SET LOCAL statement_timeout = 0; COMMIT;

-- name: replica
-- Waits for whatever still writes in this replica's name, and tells how far it got.
SELECT tag, commits, dead FROM replicas WHERE number = $1 FOR NO KEY UPDATE;

-- name: lock_starts
-- Until the end of the transaction nobody else begins or migrates.
SELECT pg_advisory_xact_lock(hashtextextended('inferry: who starts', 0));

-- name: last_epoch
SELECT coalesce(max(number), 0), coalesce(max(latest_ms), 0) FROM replicas;

-- name: put_replica
INSERT INTO replicas (number, tag, head, commits, waiting, latest_ms, lease_until, draining, dead)
VALUES (
    $1, $2, 0, 0, 0, $3, clock_timestamp() + $4::bigint * interval '1 millisecond', FALSE, FALSE
);

-- name: take_counts
-- Adds to a replica's own counts those of the dead.
WITH gone AS (
    DELETE FROM waiting USING replicas WHERE replicas.number = waiting.number AND dead
    RETURNING tenant, type, tasks
)
INSERT INTO waiting (tenant, type, number, tasks)
SELECT tenant, type, $1, sum(tasks) FROM gone GROUP BY tenant, type HAVING sum(tasks) <> 0;

-- name: sum_counts
UPDATE replicas SET waiting = coalesce(
    (SELECT sum(tasks) FROM waiting WHERE waiting.number = replicas.number), 0
) WHERE dead OR number = $1;

-- name: forget_replicas
-- Drops those up to a number that ended and left nothing.
DELETE FROM replicas WHERE number <= $1 AND dead AND waiting = 0 AND NOT EXISTS (
    SELECT FROM events
    WHERE position > number << {bits} AND position < (number + 1) << {bits}
);

-- name: end_replica
UPDATE replicas SET dead = TRUE WHERE number = $1;

-- name: epochs
-- Those that left any event, or still may.
SELECT number, tag, dead FROM replicas WHERE head > 0 OR NOT dead ORDER BY number;

-- name: heads
-- Of those that left any event, or still may.
SELECT number, head FROM replicas WHERE head > 0 OR NOT dead;

-- name: reserve_request_ids
-- Takes names of requests; of those that stand already nothing is told.
INSERT INTO request_ids ({request_id})
SELECT {request_id} FROM {request_ids_given} AS given ({request_id}) ORDER BY tenant, request_id
ON CONFLICT (tenant, request_id) DO NOTHING RETURNING tenant, request_id;

-- name: lock_request_ids
-- Reads what stands under names, and keeps it so.
SELECT {request_ids_request_id} FROM request_ids
JOIN unnest($1::text[], $2::text[]) AS given (tenant, request_id) USING (tenant, request_id)
ORDER BY request_ids.tenant, request_ids.request_id FOR UPDATE OF request_ids;

-- name: put_request_ids
INSERT INTO request_ids ({request_id})
SELECT {request_id} FROM {request_ids_given} AS given ({request_id})
ON CONFLICT (tenant, request_id) DO UPDATE SET
    digest = excluded.digest, task_id = excluded.task_id, until_ms = excluded.until_ms;

-- name: drop_request_ids
DELETE FROM request_ids USING unnest($1::text[], $2::text[]) AS given (tenant, request_id)
WHERE request_ids.tenant = given.tenant AND request_ids.request_id = given.request_id;

-- name: lock_tasks
-- Reads tasks to change them, each of a tenant or of any; in one order, so that nobody waits in a
-- ring.
SELECT {tasks_task}, position FROM unnest($1::text[], $2::text[]) AS given (id, tenant)
JOIN tasks ON tasks.id = given.id AND tasks.tenant = coalesce(given.tenant, tasks.tenant)
ORDER BY tasks.id FOR NO KEY UPDATE OF tasks;

-- name: lock_free_tasks
-- Does so with those that nobody keeps locked.
SELECT {tasks_task}, position FROM unnest($1::text[], $2::text[]) AS given (id, tenant)
JOIN tasks ON tasks.id = given.id AND tasks.tenant = coalesce(given.tenant, tasks.tenant)
ORDER BY tasks.id FOR NO KEY UPDATE OF tasks SKIP LOCKED;

-- name: known_tasks
SELECT tasks.id FROM unnest($1::text[], $2::text[]) AS given (id, tenant)
JOIN tasks ON tasks.id = given.id AND tasks.tenant = coalesce(given.tenant, tasks.tenant);

-- name: hardly_wait
SET LOCAL lock_timeout = 10;

-- name: lock_waiting
-- Reads tasks that wait to give them away, and some that may wait by the time they are claimed;
-- those that somebody else is at are left out. In the place of each come the next ones of its line
-- that are due and free: the last column lists in whose. It looks from the first of those on, for
-- what had its turn before leaves its traces in the index.
WITH named AS MATERIALIZED (
    SELECT {tasks_task}, position
    FROM unnest($1::text[]) AS given (id) JOIN tasks ON tasks.id = given.id
    WHERE CASE WHEN tasks.id = ANY($2::text[]) THEN TRUE
        -- What waits is not to be looked for by an index of all that does.
        ELSE deadline_ms > 0 AND server_id IS NULL END
    ORDER BY tasks.id FOR NO KEY UPDATE OF tasks SKIP LOCKED
), lines AS (
    SELECT route, tenant, priority, min(queued_ms) AS since_ms, count(*) AS number,
        array_agg(tasks.id) AS taken
    FROM unnest($1::text[]) AS given (id) JOIN tasks ON tasks.id = given.id
    WHERE tasks.id <> ALL(ARRAY(SELECT id FROM named))
    GROUP BY route, tenant, priority
), found AS (
    SELECT {task_of_named}, position, NULL AS taken FROM named
    UNION ALL
    SELECT {task_of_next}, next.position, taken FROM lines CROSS JOIN LATERAL (
        SELECT * FROM tasks
        WHERE status = 1 AND server_id IS NULL AND route = lines.route
            AND tenant = lines.tenant AND priority = lines.priority
            AND queued_ms >= lines.since_ms AND not_before_ms <= $3
            AND id <> ALL($1::text[]) AND id <> ALL($2::text[])
        ORDER BY queued_ms, id LIMIT lines.number FOR NO KEY UPDATE SKIP LOCKED
    ) AS next
)
SELECT {task_of_found}, position, taken, body,
    EXISTS (SELECT FROM paused_types WHERE paused_types.type = found.type)
FROM found JOIN payloads USING (task_number) ORDER BY queued_ms, id;

-- name: tombstones
SELECT id, tenant FROM tombstones WHERE id = ANY($1::text[]);

-- name: insert_tasks
-- Adds tasks with their payloads and labels; the table numbers them in their order.
WITH added AS (
    INSERT INTO tasks (position, {spec}, {state})
    SELECT position, {spec}, {state} FROM {tasks_given} WITH ORDINALITY
        AS given (position, {spec}, {state}, place) ORDER BY place
    RETURNING task_number, id
), stored AS (
    INSERT INTO payloads (task_number, body)
    SELECT task_number, body FROM added JOIN {payloads_given} AS given (id, body) USING (id)
), labelled AS (
    INSERT INTO labels (task_number, key, value, tenant)
    SELECT task_number, key, value, tenant
    FROM added JOIN {labels_given} AS given (id, key, value, tenant) USING (id)
)
SELECT id, task_number FROM added;

-- name: clear_outcomes
DELETE FROM outcomes WHERE task_number = ANY($1::bigint[]);

-- name: update_reports
-- Writes what progress reports change: touches no index.
UPDATE tasks SET position = given.position, {set_report}
FROM {reports_given} AS given (task_number, position, {report})
WHERE tasks.task_number = given.task_number;

-- name: update_tasks
-- Writes all that can change.
UPDATE tasks SET position = given.position, {set_state}
FROM {states_given} AS given (task_number, position, {state})
WHERE tasks.task_number = given.task_number;

-- name: insert_events
-- Keeps as well how many tasks wait.
WITH {counted}
{insert_events};

-- name: insert_events_and_ends
-- Keeps as well attempts that ended, and adds what tasks ended with to what is stored: NULL leaves
-- it.
WITH {counted}, ended AS (
    INSERT INTO attempts (task_number, {attempt}) SELECT * FROM {attempts_given}
), stored AS (
    INSERT INTO outcomes (task_number, result, details, late_result)
    SELECT * FROM {outcomes_given}
    ON CONFLICT (task_number) DO UPDATE SET
        result = coalesce(excluded.result, outcomes.result),
        details = coalesce(excluded.details, outcomes.details),
        late_result = coalesce(excluded.late_result, outcomes.late_result)
)
{insert_events};

-- name: forget_events
-- Drops events of tasks up to a sequence number, and keeps how far that went.
WITH dropped AS (
    DELETE FROM events USING unnest($1::bigint[], $2::bigint[]) AS given (task_number, seq)
    WHERE events.task_number = given.task_number AND events.seq <= given.seq
    RETURNING position
)
{note_dropped};

-- name: put_server
-- Adds a server; the one that has its tenant, url and name is renewed instead. A worker is whose it
-- dialled last.
INSERT INTO servers ({server_and_owner})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (tenant, url, name) DO UPDATE SET
    owner = CASE excluded.transport WHEN 2 THEN excluded.owner ELSE servers.owner END,
    asked = servers.asked + 1,
    leaves_ms = 0,
    capabilities = excluded.capabilities,
    max_concurrent = excluded.max_concurrent,
    metadata = excluded.metadata,
    private_allowed = excluded.private_allowed,
    updated_ms = excluded.updated_ms,
    labels = excluded.labels
RETURNING {server_and_owner};

-- name: drain_server
UPDATE servers SET
    draining = $1, asked = asked + 1, leaves_ms = CASE WHEN $1 THEN leaves_ms ELSE 0 END
WHERE id = $2 RETURNING {server_and_owner};

-- name: drop_server
WITH silent AS (DELETE FROM heartbeats WHERE server_id = $1)
DELETE FROM servers WHERE id = $1;

-- name: count_servers_change
-- Comes before the change: those who change servers take turns.
UPDATE revisions SET servers = servers + 1;

-- name: count_pauses_change
-- Comes before the change, likewise.
UPDATE revisions SET pauses = pauses + 1;

-- name: pause_type
INSERT INTO paused_types (type, reason, since_ms) VALUES ($1, $2, $3)
ON CONFLICT (type) DO UPDATE SET reason = excluded.reason, since_ms = excluded.since_ms;

-- name: resume_type
DELETE FROM paused_types WHERE type = $1;

-- name: forget_request_ids
-- Drops names of requests that were kept long enough.
DELETE FROM request_ids WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM request_ids WHERE until_ms <= $1
    ORDER BY until_ms LIMIT $2 FOR UPDATE SKIP LOCKED
));

-- name: forget_tombstones
-- Drops ids that were kept long enough.
DELETE FROM tombstones WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM tombstones WHERE until_ms <= $1
    ORDER BY until_ms LIMIT $2 FOR UPDATE SKIP LOCKED
));

-- name: end_retention
-- Of a list of ids those of final tasks that are as they were seen: the time to drop them is the
-- first there is. What somebody changes now is left alone: it may be started again.
WITH due AS (
    SELECT task_number FROM tasks
    WHERE id = ANY($1::text[]) AND purge_ms > 1
    AND (id, seq) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
    ORDER BY id FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE tasks SET purge_ms = 1 WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
    RETURNING 1
)
SELECT count(*) FROM ended;

-- name: purge
-- Drops final tasks whose retention is over, with all that is kept of them but their ids.
WITH due AS (
    SELECT task_number, id, tenant, webhook_events FROM tasks
    WHERE purge_ms > 0 AND purge_ms <= $1
    ORDER BY purge_ms, task_number LIMIT $2 FOR UPDATE SKIP LOCKED
), buried AS (
    INSERT INTO tombstones (id, tenant, until_ms) SELECT id, tenant, $3 FROM due
), their_payloads AS (
    DELETE FROM payloads WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
), their_outcomes AS (
    DELETE FROM outcomes WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
), their_labels AS (
    DELETE FROM labels WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
), their_attempts AS (
    DELETE FROM attempts WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
), dropped AS (
    DELETE FROM events WHERE task_number = ANY(ARRAY(SELECT task_number FROM due))
    RETURNING position
), noted AS (
    {note_dropped}
), their_webhooks AS (
    DELETE FROM webhooks WHERE id = ANY(ARRAY(SELECT id FROM due WHERE webhook_events > 0))
        AND NOT EXISTS (
            SELECT 1 FROM deliveries WHERE task_id = webhooks.id AND webhook_id = webhooks.id
        )
), gone AS (
    DELETE FROM tasks WHERE task_number = ANY(ARRAY(SELECT task_number FROM due)) RETURNING 1
)
SELECT count(*) FROM gone;

-- name: forget_counts
-- Drops rows that count nothing, unless somebody counts there now.
DELETE FROM waiting WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM waiting WHERE tasks = 0 FOR UPDATE SKIP LOCKED
));

-- name: queue_state
-- How many tasks wait in all and of some tenants, how many replicas may write, what is paused, and
-- which of some servers are not a replica's.
WITH alive AS (
    SELECT sum(waiting)::bigint AS total, count(*) FILTER (WHERE NOT dead) AS replicas FROM replicas
), found AS (
    SELECT tenant, sum(tasks)::bigint AS tasks, NULL AS paused, NULL AS server_id FROM waiting
    WHERE tenant = ANY($1::text[]) GROUP BY tenant
    UNION ALL
    SELECT NULL, NULL, type, NULL FROM paused_types
    UNION ALL
    SELECT NULL, NULL, NULL, id FROM servers
    WHERE id = ANY($2::text[]) AND owner IS DISTINCT FROM $3
)
SELECT total, replicas, tenant, tasks, paused, server_id FROM alive LEFT JOIN found ON TRUE;

-- name: postpone_queue
-- A wait that goes on when the server gives its task back; it walks over what runs alone.
UPDATE tasks SET queue_deadline_ms = $1
WHERE deadline_ms > 0 AND server_id IS NOT NULL AND queue_deadline_ms < $1;

-- name: postpone_running
WITH put_off AS (
    UPDATE tasks SET
        deadline_ms = $1,
        attempt_deadline_ms = greatest(attempt_deadline_ms, $1),
        total_deadline_ms = greatest(total_deadline_ms, $1)
    WHERE task_number = ANY(ARRAY(
        SELECT task_number FROM tasks
        WHERE deadline_ms > 0 AND server_id IS NOT NULL AND deadline_ms < $1
        ORDER BY deadline_ms LIMIT $2 FOR NO KEY UPDATE
    ))
    RETURNING 1
)
SELECT count(*) FROM put_off;

-- name: postpone_waiting
WITH put_off AS (
    UPDATE tasks SET
        deadline_ms = $1,
        queue_deadline_ms = greatest(queue_deadline_ms, $1),
        total_deadline_ms = greatest(total_deadline_ms, $1)
    WHERE task_number = ANY(ARRAY(
        SELECT task_number FROM tasks
        WHERE deadline_ms > 0 AND server_id IS NULL AND deadline_ms < $1
        ORDER BY deadline_ms LIMIT $2 FOR NO KEY UPDATE
    ))
    RETURNING 1
)
SELECT count(*) FROM put_off;

-- name: task
-- Of a tenant, or of any: to the others it is not there.
SELECT {task} FROM tasks WHERE id = $1 AND tenant = coalesce($2, tenant);

-- name: tombstone
SELECT 1 FROM tombstones WHERE id = $1 AND tenant = coalesce($2, tenant);

-- name: payload
SELECT body FROM payloads WHERE task_number = (SELECT task_number FROM tasks WHERE id = $1);

-- name: outcome
SELECT result, details, late_result FROM outcomes
WHERE task_number = (SELECT task_number FROM tasks WHERE id = $1);

-- name: events
SELECT {event} FROM events
WHERE task_number = (SELECT task_number FROM tasks WHERE id = $1) AND seq > $2
ORDER BY seq LIMIT $3;

-- name: attempts
SELECT {attempt} FROM attempts
WHERE task_number = (SELECT task_number FROM tasks WHERE id = $1) ORDER BY number;

-- name: logged
-- Events of all replicas after a position of each, with their tasks as they are now, and whether
-- any of them was dropped: one statement, so it is one view of the database. $1 and $2 are the
-- positions; a replica that is not named there is seen whole if one with a higher number is.
WITH seen AS (
    SELECT number, n FROM unnest($1::bigint[], $2::bigint[]) AS given (number, n)
), rest AS (
    SELECT replicas.number, CASE
        WHEN seen.n IS NOT NULL THEN seen.n
        WHEN replicas.number < (SELECT max(number) FROM seen) THEN head
        ELSE 0 END AS n, head
    FROM replicas LEFT JOIN seen USING (number)
), page AS (
    SELECT events.* FROM (SELECT number, n FROM rest WHERE head > n) AS rest CROSS JOIN LATERAL (
        SELECT * FROM events
        WHERE position > (rest.number << {bits}) + rest.n
            AND position < (rest.number + 1) << {bits}
        ORDER BY position LIMIT $3
    ) AS events
    ORDER BY ord LIMIT $3
)
SELECT missed, page.position, {event_of_page}, {tasks_task}
FROM (
    SELECT EXISTS (SELECT FROM horizons JOIN rest USING (number) WHERE horizons.n > rest.n)
) AS looked (missed)
LEFT JOIN (page JOIN tasks USING (task_number)) ON TRUE
ORDER BY page.ord;

-- name: tasks
-- One page of a list; {filters} is one of the combinations of its filters.
SELECT {task} FROM tasks WHERE {filters} AND task_number < $1 ORDER BY task_number DESC LIMIT $2;

-- name: labelled
-- The same, of tasks with a label. {filters} may ask for more.
SELECT {tasks_task} FROM labels JOIN tasks USING (task_number)
WHERE {filters} AND labels.task_number < $1 ORDER BY labels.task_number DESC LIMIT $2;

-- name: of_all_tenants
-- Merges the pages of all tenants; leaps from each to the next in the index.
WITH RECURSIVE leap (tenant) AS (
    SELECT min(tenant) FROM tasks
    UNION ALL
    SELECT (SELECT min(tenant) FROM tasks WHERE tenant > leap.tenant) FROM leap
    WHERE leap.tenant IS NOT NULL
)
SELECT page.* FROM leap CROSS JOIN LATERAL ({page}) AS page
ORDER BY task_number DESC LIMIT $2;

-- name: expired
-- Of what waits, and of what runs.
SELECT id FROM (
    (SELECT deadline_ms, id FROM tasks
    WHERE deadline_ms > 0 AND deadline_ms <= $1 AND server_id IS NULL
    ORDER BY deadline_ms LIMIT $2)
    UNION ALL
    (SELECT deadline_ms, id FROM tasks
    WHERE deadline_ms > 0 AND deadline_ms <= $1 AND server_id IS NOT NULL
    ORDER BY deadline_ms LIMIT $2)
) AS found
ORDER BY deadline_ms, id LIMIT $2;

-- name: first_deadline
-- Of what waits, and of what runs.
SELECT least(
    (SELECT min(deadline_ms) FROM tasks WHERE deadline_ms > 0 AND server_id IS NULL),
    (SELECT min(deadline_ms) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL)
);

-- name: latest_time
SELECT coalesce(max(latest_ms), 0) FROM replicas;

-- name: running
SELECT {task} FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL;

-- name: waiting_counts
SELECT tenant, type, sum(tasks)::bigint FROM waiting GROUP BY tenant, type HAVING sum(tasks) <> 0;

-- name: delayed_counts
SELECT type, count(*) FROM tasks WHERE not_before_ms > 0 AND not_before_ms > $1 GROUP BY type;

-- name: running_counts
SELECT type, count(*) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL GROUP BY type;

-- name: size_bytes
SELECT pg_database_size(current_database());

-- name: waiting_routes
-- Leaps from route to route: each step is one search, however many tasks have it.
WITH RECURSIVE leap (route) AS (
    SELECT min(route) FROM tasks WHERE status = 1 AND server_id IS NULL AND route > $1
    UNION ALL
    SELECT (
        SELECT min(route) FROM tasks
        WHERE status = 1 AND server_id IS NULL AND route > leap.route
    )
    FROM leap WHERE leap.route IS NOT NULL
)
SELECT route FROM leap WHERE route IS NOT NULL LIMIT $2;

-- name: waiting_lines
-- Leaps so from line to line of a route, by the first task of each.
WITH RECURSIVE leap (tenant, priority) AS (
    (SELECT tenant, priority FROM tasks
    WHERE status = 1 AND server_id IS NULL AND route = $1 AND (tenant, priority) > ($2, $3)
    ORDER BY tenant, priority LIMIT 1)
    UNION ALL
    SELECT next.tenant, next.priority FROM leap CROSS JOIN LATERAL (
        SELECT tenant, priority FROM tasks
        WHERE status = 1 AND server_id IS NULL AND route = $1
            AND (tenant, priority) > (leap.tenant, leap.priority)
        ORDER BY tenant, priority LIMIT 1
    ) AS next
)
SELECT tenant, priority FROM leap LIMIT $4;

-- name: waiting_tasks
-- Those of lines, of each from a key on.
SELECT place, tasks.* FROM {lines_given} WITH ORDINALITY AS given ({line}, place)
CROSS JOIN LATERAL (
    SELECT id, route, tenant, priority, queued_ms, not_before_ms FROM tasks
    WHERE status = 1 AND server_id IS NULL AND route = given.route
        AND tenant = given.tenant AND priority = given.priority
        AND (queued_ms, id) >= (given.queued_ms, given.id)
    ORDER BY queued_ms, id LIMIT given.size
) AS tasks
ORDER BY place, tasks.queued_ms, tasks.id;

-- name: stopped
-- Attempts that timed out or were aborted. A digest is that of the report that ended the latest one.
SELECT id, {stopped} FROM attempts JOIN tasks USING (task_number)
WHERE outcome IN (6, 7) AND ended_ms > $1 AND (digest = ''::bytea OR attempt > number);

-- name: servers
SELECT {server} FROM servers;

-- name: paused_types
SELECT type, reason, since_ms FROM paused_types;

-- name: renew
UPDATE replicas
SET lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond', draining = $3
WHERE number = $1 AND NOT dead RETURNING number;

-- name: survey
-- What changes, at one look; a line for each replica that is not dead.
SELECT revisions.servers, revisions.pauses, number, draining, lease_until < clock_timestamp(),
    coalesce(times, 0)
FROM revisions CROSS JOIN replicas LEFT JOIN told USING (number) WHERE NOT dead ORDER BY number;

-- name: bury
-- Marks those dead whose leases are over, and whose commits nobody waits for. Whoever had only to
-- wait for the lock has renewed it meanwhile, and lives.
UPDATE replicas SET dead = TRUE FROM (
    SELECT number FROM replicas
    WHERE NOT dead AND lease_until < clock_timestamp() AND number <> $1
    ORDER BY number FOR NO KEY UPDATE SKIP LOCKED
) AS gone WHERE replicas.number = gone.number RETURNING replicas.number;

-- name: bury_gone
-- Marks one dead whose process is known to be gone, unless a commit of it is still on its way.
UPDATE replicas SET dead = TRUE FROM (
    SELECT number FROM replicas WHERE number = $1 AND tag = $2 AND NOT dead
    FOR NO KEY UPDATE SKIP LOCKED
) AS gone WHERE replicas.number = gone.number RETURNING replicas.number;

-- name: orphan
WITH silent AS (DELETE FROM told WHERE number = ANY($1::bigint[]))
UPDATE servers SET owner = NULL WHERE owner = ANY($1::bigint[]);

-- name: hold_own
SELECT number FROM replicas WHERE number = $1 AND NOT dead FOR SHARE;

-- name: take
UPDATE servers SET owner = $2 WHERE id = ANY($1::text[]) AND NOT EXISTS (
    SELECT FROM replicas WHERE number = owner AND NOT dead
) RETURNING id;

-- name: give
UPDATE servers SET owner = given.number
FROM unnest($1::text[], $2::bigint[]) AS given (id, number)
WHERE servers.id = given.id AND owner = $3 AND EXISTS (
    SELECT FROM replicas WHERE replicas.number = given.number AND NOT dead
) RETURNING servers.id, owner;

-- name: kept_servers
SELECT {server_and_owner}, asked, leaves_ms FROM servers;

-- name: running_at
-- Every task that is not final has a deadline, so this walks over those alone.
SELECT {task} FROM tasks WHERE deadline_ms > 0 AND server_id = ANY($1::text[]);

-- name: closed
SELECT given.id, {stopped} FROM unnest($1::text[], $2::bigint[]) AS given (id, number)
JOIN tasks ON tasks.id = given.id
JOIN attempts ON attempts.task_number = tasks.task_number AND attempts.number = given.number;

-- name: ask_to_leave
UPDATE servers SET leaves_ms = CASE leaves_ms WHEN 0 THEN $2 ELSE least(leaves_ms, $2) END
WHERE id = $1;

-- name: beat
INSERT INTO heartbeats (server_id, beats, load) VALUES ($1, 1, $2)
ON CONFLICT (server_id) DO UPDATE SET
    beats = heartbeats.beats + 1, load = coalesce(excluded.load, heartbeats.load);

-- name: heartbeats
SELECT server_id, beats, load FROM heartbeats;

-- name: tell
INSERT INTO told (number, times, words) VALUES ($1, 1, $2)
ON CONFLICT (number) DO UPDATE SET times = told.times + 1, words = excluded.words;

-- name: told
SELECT number, times, words FROM told WHERE number = ANY($1::bigint[]);

-- name: notify
SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS given (channel);

-- name: begin_counted
INSERT INTO counted (number, n) VALUES ($1, 0) ON CONFLICT (number) DO NOTHING;

-- name: lock_counted
SELECT n FROM counted WHERE number = $1 FOR UPDATE;

-- name: put_counted
UPDATE counted SET n = $2 WHERE number = $1;

-- name: own_figures
-- Cells as this replica has them so far.
SELECT step_s, type, at_s, {cell} FROM figures
JOIN unnest($1::bigint[], $2::text[], $3::bigint[]) AS given (step_s, type, at_s)
USING (step_s, type, at_s) WHERE number = $4;

-- name: put_figures
INSERT INTO figures ({figure}) SELECT {figure} FROM {figures_given} AS given ({figure})
ON CONFLICT (step_s, type, at_s, number) DO UPDATE SET {set_cell};

-- name: forget_figures
-- Drops cells that were kept long enough.
DELETE FROM figures WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM figures WHERE step_s = $1 AND at_s < $2
    ORDER BY at_s LIMIT $3 FOR UPDATE SKIP LOCKED
));

-- name: forget_counted
-- Drops what is known of replicas that are not known any more.
DELETE FROM counted WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM counted WHERE number < (SELECT min(number) FROM replicas)
    FOR UPDATE SKIP LOCKED
));

-- name: figures
SELECT at_s, {cell} FROM figures
WHERE step_s = $1 AND type = $2 AND at_s >= $3 AND at_s < $4 ORDER BY at_s;

-- name: figure_types
-- Leaps from type to type, and looks whether each has a cell in the span.
WITH RECURSIVE leap (type) AS (
    SELECT min(type) FROM figures WHERE step_s = $1 AND type > ''
    UNION ALL
    SELECT (SELECT min(type) FROM figures WHERE step_s = $1 AND type > leap.type) FROM leap
    WHERE leap.type IS NOT NULL
)
SELECT type FROM leap WHERE EXISTS (
    SELECT FROM figures WHERE step_s = $1 AND figures.type = leap.type AND at_s >= $2 AND at_s < $3
) ORDER BY type;

-- name: uncounted
SELECT number, coalesce(n, 0), head FROM replicas LEFT JOIN counted USING (number)
WHERE dead AND head > coalesce(n, 0) ORDER BY number;

-- name: logged_by
-- Events of one replica between two positions, with their tasks as they are now.
SELECT FALSE, events.position, {event_of_events}, {tasks_task}
FROM events JOIN tasks USING (task_number)
WHERE events.position > $1 AND events.position < $2 ORDER BY events.position LIMIT $3;

-- name: running_counts
SELECT type, count(*) FROM tasks WHERE deadline_ms > 0 AND server_id IS NOT NULL GROUP BY type;

-- name: put_code
INSERT INTO codes ({code}) VALUES ($1, $2, $3, $4, $5, $6);

-- name: take_code
-- Of those who take one at once, the second finds it gone.
DELETE FROM codes WHERE hash = $1 RETURNING {code};

-- name: has_code
SELECT 1 FROM codes WHERE hash = $1;

-- name: forget_codes
DELETE FROM codes WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM codes WHERE until_ms <= $1
    ORDER BY until_ms LIMIT $2 FOR UPDATE SKIP LOCKED
));

-- name: failures
-- Those of a span of time that ended before one, latest first.
SELECT id, type, code, error, finished_ms, task_number FROM tasks
WHERE status IN (4, 5) AND finished_ms >= $1 AND (finished_ms, task_number) < ($2, $3)
ORDER BY finished_ms DESC, task_number DESC LIMIT $4;
