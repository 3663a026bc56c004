-- What the PostgreSQL store asks about webhooks; see queries.sql.

-- name: count_webhooks_change
-- Comes before the change: those who change webhooks take turns.
UPDATE revisions SET webhooks = webhooks + 1;

-- name: known_webhooks
-- The webhooks that belong to no task, beside how often such were changed; one row at least.
SELECT revisions.webhooks, {webhooks_hook}
FROM revisions LEFT JOIN webhooks ON NOT webhooks.own ORDER BY webhooks.tenant, webhooks.id;

-- name: put_webhook
INSERT INTO webhooks ({hook}) VALUES ({hook_marks})
ON CONFLICT (id) DO UPDATE SET {set_hook};

-- name: lock_webhook
SELECT {hook} FROM webhooks
WHERE id = $1 AND NOT own AND tenant = coalesce($2, tenant) FOR NO KEY UPDATE;

-- name: webhook
SELECT {hook} FROM webhooks WHERE id = $1 AND NOT own AND tenant = coalesce($2, tenant);

-- name: webhooks
SELECT {hook} FROM webhooks WHERE NOT own ORDER BY tenant, id;

-- name: tenants_webhooks
SELECT {hook} FROM webhooks WHERE NOT own AND tenant = $1 ORDER BY id;

-- name: count_webhooks
SELECT count(*) FROM webhooks WHERE NOT own AND tenant = $1;

-- name: drop_webhook
DELETE FROM webhooks WHERE id = $1 AND NOT own AND tenant = coalesce($2, tenant);

-- name: disable_webhook
UPDATE webhooks SET disabled = $1, updated_ms = $2 WHERE id = $3 AND disabled = '';

-- name: move_deliveries
-- Those that wait go to the host that a webhook has now.
UPDATE deliveries SET host = $1 WHERE webhook_id = $2 AND state = 1;

-- name: give_up_deliveries
-- Of a webhook that hears of nothing any more; what is being sent just now is left to its end.
UPDATE deliveries SET state = 3, next_ms = 0, ended_ms = $1
WHERE webhook_id = $2 AND state = 1 AND claimed = 0;

-- name: lock_lines
-- Locks what waits of some tasks for some webhooks: whoever adds to that or settles it takes turns.
SELECT 1 FROM deliveries
JOIN unnest($1::text[], $2::text[]) AS given (task_id, webhook_id) USING (task_id, webhook_id)
WHERE state = 1 ORDER BY task_id, webhook_id, seq FOR NO KEY UPDATE OF deliveries;

-- name: lines
-- What waits of them. To be asked once it is locked: who had it before may have added to it.
SELECT {deliveries_entry} FROM deliveries
JOIN unnest($1::text[], $2::text[]) AS given (task_id, webhook_id) USING (task_id, webhook_id)
WHERE state = 1 ORDER BY task_id, webhook_id, seq;

-- name: hears
-- Which webhooks are there, and whether they hear.
SELECT id, disabled = '' FROM webhooks WHERE id = ANY($1::text[]);

-- name: put_deliveries
INSERT INTO deliveries ({new_entry}, tenant, host, claimed)
SELECT {given_new_entry}, webhooks.tenant, webhooks.host, 0
FROM {new_entries} AS given ({new_entry}) JOIN webhooks ON webhooks.id = given.webhook_id;

-- name: change_deliveries
UPDATE deliveries SET {set_entry} FROM {changed_entries} AS given ({changed_entry})
WHERE deliveries.task_id = given.task_id AND deliveries.webhook_id = given.webhook_id
    AND deliveries.seq = given.seq;

-- name: drop_deliveries
DELETE FROM deliveries USING {keys} AS given (task_id, webhook_id, seq)
WHERE deliveries.task_id = given.task_id AND deliveries.webhook_id = given.webhook_id
    AND deliveries.seq = given.seq;

-- name: left_claims
-- Whether there are any of replicas that can write nothing more.
SELECT 1 FROM deliveries WHERE claimed > 0 AND NOT EXISTS (
    SELECT 1 FROM replicas WHERE number = claimed AND NOT dead
) LIMIT 1;

-- name: release_claims
-- Those of replicas that can write nothing more.
UPDATE deliveries SET claimed = 0 WHERE claimed > 0 AND claimed <> $1 AND NOT EXISTS (
    SELECT 1 FROM replicas WHERE number = claimed AND NOT dead
);

-- name: claim_deliveries
-- The next of some hosts that are due, so many of each.
WITH due AS MATERIALIZED (
    SELECT task_id, webhook_id, seq
    FROM unnest($2::text[], $3::bigint[]) AS given (host, most) CROSS JOIN LATERAL (
        SELECT task_id, webhook_id, seq FROM deliveries
        WHERE deliveries.host = given.host AND next_ms > 0 AND claimed = 0 AND next_ms <= $4
        ORDER BY next_ms LIMIT given.most FOR NO KEY UPDATE SKIP LOCKED
    ) AS due
)
UPDATE deliveries SET claimed = $1 FROM due
WHERE deliveries.task_id = due.task_id AND deliveries.webhook_id = due.webhook_id
    AND deliveries.seq = due.seq
RETURNING deliveries.task_id, deliveries.webhook_id, deliveries.seq, event, body, created_ms, tries,
    (SELECT traceparent FROM tasks WHERE tasks.id = deliveries.task_id),
    (SELECT tracestate FROM tasks WHERE tasks.id = deliveries.task_id);

-- name: claimed_webhooks
SELECT id, url, host, tenant, secrets, ed25519 FROM webhooks
WHERE id = ANY($1::text[]) AND disabled = '';

-- name: give_up_claimed
UPDATE deliveries SET state = 3, claimed = 0, next_ms = 0, ended_ms = $1
FROM {keys_behind} AS given (task_id, webhook_id, seq)
WHERE deliveries.task_id = given.task_id AND deliveries.webhook_id = given.webhook_id
    AND deliveries.seq = given.seq;

-- name: wake_next
-- The first of some tasks that waits for some webhooks, where none has a time.
UPDATE deliveries SET next_ms = $3 FROM (
    SELECT DISTINCT ON (task_id, webhook_id) task_id, webhook_id, seq
    FROM deliveries
    JOIN unnest($1::text[], $2::text[]) AS given (task_id, webhook_id) USING (task_id, webhook_id)
    WHERE state = 1 ORDER BY task_id, webhook_id, seq
) AS head
WHERE deliveries.task_id = head.task_id AND deliveries.webhook_id = head.webhook_id
    AND deliveries.seq = head.seq AND NOT EXISTS (
        SELECT 1 FROM deliveries AS other
        WHERE other.task_id = head.task_id AND other.webhook_id = head.webhook_id
            AND other.state = 1 AND other.next_ms > 0
    );

-- name: send_again
UPDATE deliveries SET state = 1, ended_ms = 0, tries = 0
WHERE task_id = $1 AND seq = $2 AND webhook_id = coalesce($3, webhook_id)
    AND tenant = coalesce($4, tenant) AND state > 1
    AND webhook_id IN (SELECT id FROM webhooks WHERE disabled = '')
RETURNING task_id, webhook_id;

-- name: replay
WITH chosen AS MATERIALIZED (
    SELECT task_id, seq FROM deliveries
    WHERE webhook_id = $1 AND state = $2 AND created_ms >= $3 ORDER BY created_ms LIMIT $4
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE deliveries SET state = 1, ended_ms = 0, tries = 0 FROM chosen
WHERE deliveries.task_id = chosen.task_id AND deliveries.webhook_id = $1
    AND deliveries.seq = chosen.seq
RETURNING deliveries.task_id, deliveries.webhook_id;

-- name: forget_deliveries
-- Drops what was told, or given up, long enough ago; and webhooks of tasks that are gone by that.
WITH dropped AS (
    DELETE FROM deliveries WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM deliveries WHERE ended_ms > 0 AND ended_ms <= $1
        ORDER BY ended_ms LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING webhook_id
)
SELECT webhook_id FROM dropped;

-- name: forget_webhooks
-- Those that belonged to tasks which are gone, with nothing left to tell.
DELETE FROM webhooks WHERE id = ANY($1::text[]) AND own
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = webhooks.id)
    AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE task_id = webhooks.id AND webhook_id = webhooks.id
    );

-- name: deliveries
SELECT {delivery} FROM deliveries WHERE task_id = $1 AND tenant = coalesce($2, tenant)
ORDER BY webhook_id, seq LIMIT $3;

-- name: due_hosts
-- Leaps from host to host of those that wait; each with when its first is due.
WITH RECURSIVE leap (host, number) AS (
    (
        SELECT host, 1 FROM deliveries
        WHERE next_ms > 0 AND claimed = 0 AND host > $1 ORDER BY host LIMIT 1
    )
    UNION ALL
    SELECT next.host, leap.number + 1 FROM leap CROSS JOIN LATERAL (
        SELECT host FROM deliveries
        WHERE next_ms > 0 AND claimed = 0 AND host > leap.host ORDER BY host LIMIT 1
    ) AS next WHERE leap.number < $2
)
SELECT leap.host, first.next_ms FROM leap CROSS JOIN LATERAL (
    SELECT next_ms FROM deliveries
    WHERE next_ms > 0 AND claimed = 0 AND deliveries.host = leap.host ORDER BY next_ms LIMIT 1
) AS first ORDER BY leap.host;

-- name: first_ended
SELECT min(ended_ms) FROM deliveries WHERE ended_ms > 0;

-- name: waiting_deliveries
SELECT count(*) FROM (
    SELECT 1 FROM deliveries WHERE webhook_id = $1 AND state = 1 LIMIT $2
) AS waiting;
