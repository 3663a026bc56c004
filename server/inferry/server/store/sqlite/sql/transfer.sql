-- What a move reads and writes in its own way; all other tables are read and written as they are.
-- "-- name:" begins a query.

-- name: epochs
-- Each has logged an event at least: it is noted with its first.
SELECT number, tag, max(
    1,
    ifnull((
        SELECT max(position) FROM events
        WHERE position > number << {bits} AND position < (number + 1) << {bits}
    ) & {mask}, 1),
    ifnull((SELECT position & {mask} FROM horizon WHERE position >> {bits} = number), 1)
) FROM epochs ORDER BY number;

-- name: horizons
SELECT position >> {bits}, position & {mask} FROM horizon;

-- name: tasks
SELECT {task}, (
    SELECT position FROM events WHERE events.task_number = tasks.task_number
    ORDER BY seq DESC LIMIT 1
) FROM tasks ORDER BY task_number;

-- name: events
-- One start follows on the other, so positions order them all.
SELECT task_number, {event}, position, position FROM events ORDER BY task_number, seq;

-- name: put_horizon
INSERT INTO horizon (one, position) VALUES (1, ?);

-- name: put_clock
INSERT INTO clock (one, latest_ms) VALUES (1, ?);

-- name: count_waiting
INSERT INTO waiting (tenant, type, tasks)
SELECT tenant, type, count(*) FROM tasks
WHERE deadline_ms > 0 AND server_id IS NULL GROUP BY tenant, type;
