-- What the SQLite store asks about webhooks; see queries.sql.

-- name: put_webhook
INSERT OR REPLACE INTO webhooks ({hook}) VALUES ({hook_marks});

-- name: webhook
SELECT {hook} FROM webhooks WHERE id = ? AND own = 0 AND tenant = ifnull(?, tenant);

-- name: webhooks
SELECT {hook} FROM webhooks WHERE own = 0 ORDER BY tenant, id;

-- name: tenants_webhooks
SELECT {hook} FROM webhooks WHERE own = 0 AND tenant = ? ORDER BY id;

-- name: count_webhooks
SELECT count(*) FROM webhooks WHERE own = 0 AND tenant = ?;

-- name: drop_webhook
DELETE FROM webhooks WHERE id = ?;

-- name: disable_webhook
UPDATE webhooks SET disabled = ?, updated_ms = ? WHERE id = ? AND disabled = '';

-- name: move_deliveries
-- Those that wait go to the host that a webhook has now.
UPDATE deliveries SET host = ? WHERE webhook_id = ? AND state = 1;

-- name: give_up_deliveries
-- Of a webhook that hears of nothing any more; what is being sent just now is left to its end.
UPDATE deliveries SET state = 3, next_ms = 0, ended_ms = ?
WHERE webhook_id = ? AND state = 1 AND claimed = 0;

-- name: waiting_line
-- What waits of a task for a webhook, in the order of the events.
SELECT {entry} FROM deliveries WHERE task_id = ? AND webhook_id = ? AND state = 1 ORDER BY seq;

-- name: hears
-- Whether a webhook hears.
SELECT disabled = '' FROM webhooks WHERE id = ?;

-- name: put_delivery
INSERT INTO deliveries ({new_entry}, tenant, host, claimed)
SELECT {new_entry_marks}, tenant, host, 0 FROM webhooks WHERE id = ?;

-- name: change_delivery
UPDATE deliveries SET {entry_changes} WHERE task_id = ? AND webhook_id = ? AND seq = ?;

-- name: drop_delivery
DELETE FROM deliveries WHERE task_id = ? AND webhook_id = ? AND seq = ?;

-- name: left_claims
SELECT 1 FROM deliveries WHERE claimed > 0 AND claimed <> ? LIMIT 1;

-- name: release_claims
-- Those of starts that have ended.
UPDATE deliveries SET claimed = 0 WHERE claimed > 0 AND claimed <> ?;

-- name: claim_deliveries
-- The next of a host that are due.
UPDATE deliveries SET claimed = :start WHERE rowid IN (
    SELECT rowid FROM deliveries
    WHERE host = :host AND next_ms > 0 AND claimed = 0 AND next_ms <= :now_ms
    ORDER BY next_ms LIMIT :limit
) RETURNING task_id, webhook_id, seq, event, body, created_ms, tries,
    (SELECT traceparent FROM tasks WHERE tasks.id = deliveries.task_id),
    (SELECT tracestate FROM tasks WHERE tasks.id = deliveries.task_id);

-- name: claimed_webhook
SELECT url, host, tenant, secrets, ed25519 FROM webhooks WHERE id = ? AND disabled = '';

-- name: give_up_delivery
UPDATE deliveries SET state = 3, claimed = 0, next_ms = 0, ended_ms = ?
WHERE task_id = ? AND webhook_id = ? AND seq = ?;

-- name: wake_next
-- The first of a task that waits for a webhook, if none has a time.
UPDATE deliveries SET next_ms = :now_ms WHERE rowid = (
    SELECT rowid FROM deliveries
    WHERE task_id = :task_id AND webhook_id = :webhook_id AND state = 1 ORDER BY seq LIMIT 1
) AND NOT EXISTS (
    SELECT 1 FROM deliveries
    WHERE task_id = :task_id AND webhook_id = :webhook_id AND state = 1 AND next_ms > 0
);

-- name: send_again
UPDATE deliveries SET state = 1, ended_ms = 0, tries = 0
WHERE task_id = :task_id AND seq = :seq AND webhook_id = ifnull(:webhook_id, webhook_id)
    AND tenant = ifnull(:tenant, tenant) AND state > 1
    AND EXISTS (
        SELECT 1 FROM webhooks WHERE webhooks.id = deliveries.webhook_id AND disabled = ''
    )
RETURNING task_id, webhook_id;

-- name: replay
UPDATE deliveries SET state = 1, ended_ms = 0, tries = 0 WHERE rowid IN (
    SELECT rowid FROM deliveries
    WHERE webhook_id = :webhook_id AND state = :state AND created_ms >= :since_ms
    ORDER BY created_ms LIMIT :limit
) RETURNING task_id, webhook_id;

-- name: forget_deliveries
-- Drops what was told, or given up, long enough ago.
DELETE FROM deliveries WHERE rowid IN (
    SELECT rowid FROM deliveries WHERE ended_ms > 0 AND ended_ms <= ? ORDER BY ended_ms LIMIT ?
) RETURNING webhook_id;

-- name: forget_webhook
-- One that belonged to a task which is gone, with nothing left to tell.
DELETE FROM webhooks WHERE id = :id AND own = 1
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = :id)
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE task_id = :id AND webhook_id = :id);

-- name: deliveries
SELECT {delivery} FROM deliveries WHERE task_id = ? AND tenant = ifnull(?, tenant)
ORDER BY webhook_id, seq LIMIT ?;

-- name: due_hosts
-- Leaps from host to host of those that wait; each with when its first is due.
WITH RECURSIVE leap (host) AS (
    SELECT min(host) FROM deliveries WHERE next_ms > 0 AND claimed = 0 AND host > :after
    UNION ALL
    SELECT (
        SELECT min(host) FROM deliveries
        WHERE next_ms > 0 AND claimed = 0 AND host > leap.host
    )
    FROM leap WHERE leap.host IS NOT NULL
    LIMIT :limit
)
SELECT leap.host, (
    SELECT min(next_ms) FROM deliveries
    WHERE next_ms > 0 AND claimed = 0 AND deliveries.host = leap.host
) FROM leap WHERE leap.host IS NOT NULL;

-- name: first_ended
SELECT min(ended_ms) FROM deliveries WHERE ended_ms > 0;

-- name: waiting_deliveries
SELECT count(*) FROM (
    SELECT 1 FROM deliveries WHERE webhook_id = ? AND state = 1 LIMIT ?
) AS waiting;
