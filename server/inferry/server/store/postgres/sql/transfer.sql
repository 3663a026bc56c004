-- What a move reads and writes in its own way; all other tables are read and written as they are.
-- "-- name:" begins a query.

-- name: living
-- Replicas that may write.
SELECT number FROM replicas WHERE NOT dead AND lease_until > clock_timestamp() ORDER BY number;

-- name: keep_away
-- Nobody begins or commits until the end of the transaction.
LOCK TABLE replicas IN EXCLUSIVE MODE;

-- name: version
SELECT version FROM inferry_schema;

-- name: empty
-- Drops what a broken-off move left, and starts that left nothing.
TRUNCATE {tables}, figures, counted, codes, waiting, replicas, horizons, heartbeats, told;

-- name: begin_move
CREATE TABLE IF NOT EXISTS {mark} (source text NOT NULL, run text NOT NULL);
DELETE FROM {mark};

-- name: put_move
INSERT INTO {mark} (source, run) VALUES ($1, $2);

-- name: still_this_move
-- Another that began meanwhile has the target.
SELECT 1 FROM {mark} WHERE run = $1 FOR SHARE;

-- name: finish_move
DROP TABLE {mark};

-- name: epochs
-- Those that left any event.
SELECT number, tag, head FROM replicas WHERE head > 0 ORDER BY number;

-- name: horizon
-- Where each start logged after the one before it, positions order the log: then it is the last one
-- that was dropped. Else no place in it can be said by one position: it is after all of them.
WITH spans AS (
    SELECT position >> {bits} AS number, min(ord) AS first, max(ord) AS last FROM events GROUP BY 1
), steps AS (
    SELECT first < max(last) OVER (
        ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS back FROM spans
), found AS (
    SELECT CASE WHEN coalesce((SELECT bool_or(back) FROM steps), FALSE)
        THEN (SELECT max((number << {bits}) + head) + 1 FROM replicas WHERE head > 0)
        ELSE (SELECT max((number << {bits}) + n) FROM horizons)
    END AS position
)
SELECT position FROM found WHERE position IS NOT NULL;

-- name: clock
SELECT max(latest_ms) FROM replicas HAVING max(latest_ms) > 0;

-- name: waiting
SELECT tenant, type, sum(tasks)::bigint FROM waiting
GROUP BY tenant, type HAVING sum(tasks) <> 0 ORDER BY tenant, type;

-- name: put_epochs
-- They have ended.
INSERT INTO replicas (number, tag, head, commits, waiting, latest_ms, lease_until, draining, dead)
VALUES ($1, $2, $3, 0, 0, 0, clock_timestamp(), FALSE, TRUE);

-- name: put_clock
-- With the last start, or with one that left nothing.
INSERT INTO replicas (number, tag, head, commits, waiting, latest_ms, lease_until, draining, dead)
SELECT coalesce(max(number), 1), 0, 0, 0, 0, $1, clock_timestamp(), FALSE, TRUE FROM replicas
ON CONFLICT (number) DO UPDATE SET latest_ms = excluded.latest_ms;

-- name: count_waiting
-- As if the last start had counted them all.
INSERT INTO waiting (tenant, type, number, tasks)
SELECT tenant, type, (SELECT max(number) FROM replicas), count(*) FROM tasks
WHERE deadline_ms > 0 AND server_id IS NULL GROUP BY tenant, type;

-- name: sum_waiting
UPDATE replicas SET waiting = coalesce(
    (SELECT sum(tasks) FROM waiting WHERE waiting.number = replicas.number), 0
);

-- name: go_on_numbering
-- Tasks and events that come get higher numbers than those that are there.
SELECT setval(pg_get_serial_sequence('tasks', 'task_number'),
        (SELECT coalesce(max(task_number), 0) + 1 FROM tasks), FALSE),
    setval('events_ord', (SELECT coalesce(max(ord), 0) + 1 FROM events), FALSE);

-- name: analyze
-- Plans are good from the first task on.
ANALYZE {tables}, figures, waiting;

-- name: counted
SELECT number, n FROM counted WHERE n > 0 ORDER BY number;
