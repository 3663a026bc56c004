"""Makes stores full of tasks by SQL: some that have ended, and some that wait for nobody."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw
import asyncpg

from inferry.server.store.postgres.connections import Connection
from inferry.server.store.rows import ATTEMPT, EVENT, SPEC, STATE
from inferry.server.store.sqlite.store import SqliteStore
from tests.server.store.opening import opened_postgres

DAY_MS = 86_400_000
#: Of the tasks in the store; no server takes what waits.
TENANTS, WAITING_TYPE = 1_000, "waits"
_COUNT = "WITH RECURSIVE n (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM n LIMIT :count) "
#: What a row has besides what its column holds by nature; an expression over its number.
_TASK = {
    "id": "printf('task_%026d', n)",
    "tenant": "'tenant-' || (n % :tenants)",
    "type": ":type",
    "route": ":type",
    "labels": "x'7b7d'",
    "asynchronous": "1",
    "priority": "n % 10",
    "created_ms": ":now_ms - 10000000 + n",
    "queued_ms": ":now_ms - 10000000 + n",
    "updated_ms": ":now_ms",
    "timeout_ms": "300000",
    "queue_timeout_ms": ":day_ms",
    "total_timeout_ms": ":day_ms",
    "total_deadline_ms": ":now_ms + :day_ms",
    "queue_deadline_ms": ":now_ms + :day_ms",
    "max_attempts": "3",
    "status": "1",
    "seq": "1",
    "deadline_ms": ":now_ms + :day_ms",
    "server_id": "NULL",
    "losses": "''",
    "flaw": "''",
    "message": "''",
    "error": "''",
    "code": "''",
    "digest": "x''",
}
_FINISHED = {
    "status": "3",
    "seq": "4",
    "progress": "100",
    "deadline_ms": "0",
    "finished_ms": ":now_ms",
    "purge_ms": ":now_ms + :day_ms",
    "attempt": "1",
    "attempts_counted": "1",
    "started_ms": ":now_ms",
    "server_id": "'srv_gone'",
}
#: The same where PostgreSQL says it in other words.
_IN_POSTGRES = {
    "id": "'task_' || lpad(n::text, 26, '0')",
    "labels": "'{}'::bytea",
    "digest": "''::bytea",
    "asynchronous": "TRUE",
    "idempotent": "FALSE",
    "position": "(1::bigint << 40) + 3 * n + 3",
}
_DONE = {**_IN_POSTGRES, "type": "'done'", "route": "'done'"}
_WAITS = {
    **_IN_POSTGRES,
    "type": f"'{WAITING_TYPE}'",
    "route": f"'{WAITING_TYPE}'",
    "position": "(1::bigint << 40) + 3 * n + 1",
}
_PAYLOAD = """'{"prompt":"a picture of a ferry","steps":30}'"""
_COUNT_WAITING = """INSERT INTO waiting (tenant, type, number, tasks)
SELECT tenant, type, 1, count(*) FROM tasks
WHERE deadline_ms > 0 AND server_id IS NULL GROUP BY tenant, type"""
_RESULT = """'{"text":"a ferry"}'"""
_EVENT = {
    "at_ms": ":now_ms",
    "kind": "seq",
    "status": "1",
    "message": "''",
    "attempt": "0",
    "server_id": "NULL",
    "seq": "seq",
    "progress": "0",
}
_ATTEMPT = {
    "number": "1",
    "server_id": "'srv_gone'",
    "outcome": "2",
    "error": "''",
    "started_ms": ":now_ms",
    "ended_ms": ":now_ms",
}


async def fill(path: Path, finished: int, waiting: int) -> None:
    """Makes a store with so many tasks of each kind."""
    store = SqliteStore(path)
    await store.open()
    await store.close()
    db = apsw.Connection(str(path))
    db.pragma("synchronous", "off")
    db.execute("BEGIN")
    _add(db, 1, finished, "done", {**_TASK, **_FINISHED})
    _add(db, 1 + finished, waiting, WAITING_TYPE, _TASK)
    numbers = {"first": 1, "count": finished}
    parts = {"now_ms": time.time_ns() // 1_000_000}
    if finished:
        db.execute(
            f"{_COUNT} INSERT INTO attempts (task_number, {', '.join(ATTEMPT)}) "
            f"SELECT n, {', '.join(_ATTEMPT[name] for name in ATTEMPT)} FROM n",
            {**numbers, **parts},
        )
        db.execute(
            f"{_COUNT} INSERT INTO outcomes (task_number, result) "
            f"SELECT n, CAST({_RESULT} AS BLOB) FROM n",
            numbers,
        )
    db.execute(
        f"{_COUNT}, seqs (seq) AS (VALUES (1), (2), (3)) "
        f"INSERT INTO events (task_number, {', '.join(EVENT)}, position) "
        f"SELECT n, {', '.join(_EVENT[name] for name in EVENT)}, (1 << 40) + 3 * n + seq "
        "FROM n, seqs WHERE seq = 1 OR n <= :finished",
        {"first": 1, "count": finished + waiting, "finished": finished, **parts},
    )
    db.execute("INSERT INTO epochs (number, tag) VALUES (1, 1)")
    db.execute(
        "INSERT INTO waiting (tenant, type, tasks) SELECT tenant, type, count(*) FROM tasks "
        "WHERE deadline_ms > 0 AND server_id IS NULL GROUP BY tenant, type"
    )
    db.execute("COMMIT")
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    db.close()


def _add(
    db: apsw.Connection, first: int, count: int, task_type: str, columns: dict[str, str]
) -> None:
    if not count:
        return
    names = (*SPEC, *STATE)
    values = {
        "first": first,
        "count": count,
        "type": task_type,
        "tenants": TENANTS,
        "now_ms": time.time_ns() // 1_000_000,
        "day_ms": DAY_MS,
    }
    # What stands nowhere above is a number, and 0.
    db.execute(
        f"{_COUNT} INSERT INTO tasks ({', '.join(names)}) "
        f"SELECT {', '.join(columns.get(name, '0') for name in names)} FROM n",
        values,
    )
    db.execute(
        f"{_COUNT} INSERT INTO payloads (task_number, body) "
        f"SELECT n, CAST({_PAYLOAD} AS BLOB) FROM n",
        {"first": first, "count": count},
    )


async def fill_postgres(url: str, finished: int, waiting: int) -> None:
    """Makes a store with so many tasks of each kind in an empty database."""
    async with opened_postgres(url):
        pass
    db = await asyncpg.connect(url)
    last = finished + waiting
    try:
        done, waits = (_names((*SPEC, *STATE), one) for one in (_TASK | _FINISHED, _TASK))
        await _rows(db, "tasks", done | _DONE, 1, finished)
        await _rows(db, "tasks", waits | _WAITS, finished + 1, last)
        await _rows(db, "payloads", {"body": f"{_PAYLOAD}::bytea"}, 1, last)
        await _rows(db, "attempts", _names(ATTEMPT, _ATTEMPT), 1, finished)
        await _rows(db, "outcomes", {"result": f"{_RESULT}::bytea"}, 1, finished)
        event = {**_names(EVENT, _EVENT), "position": "(1::bigint << 40) + 3 * n + seq"}
        for seq in range(1, 4):
            one = {name: re.sub(r"\bseq\b", str(seq), value) for name, value in event.items()}
            await _rows(db, "events", one, 1, last if seq == 1 else finished)
        await db.execute(_COUNT_WAITING)
        await db.execute(f"UPDATE replicas SET head = {3 * last + 3}, waiting = {waiting}")
        await db.execute(f"ALTER TABLE tasks ALTER task_number RESTART WITH {last + 1}")
        await db.execute("VACUUM ANALYZE")
    finally:
        await db.close()


def _names(names: Sequence[str], values: Mapping[str, str]) -> dict[str, str]:
    return {name: values.get(name, "0") for name in names}


async def _rows(
    db: Connection,
    table: str,
    columns: Mapping[str, str],
    first: int,
    last: int,
) -> None:
    """Adds rows with these numbers of their tasks."""
    given = {"now_ms": time.time_ns() // 1_000_000, "day_ms": DAY_MS, "tenants": TENANTS}
    values = ", ".join(columns.values())
    for name, value in given.items():
        values = values.replace(f":{name}", str(value))
    await db.execute(
        f"INSERT INTO {table} (task_number, {', '.join(columns)}) "
        f"SELECT n, {values} FROM generate_series({first}, {last}) AS n"
    )
