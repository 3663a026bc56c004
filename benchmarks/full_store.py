"""Measures a gateway on a store that is full of tasks beside one on an empty store.

How long it takes to start, what memory it has then, and what it carries: see docs/benchmarks.md.

python -m benchmarks.full_store --finished 1000000 --waiting 100000
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import aiohttp
import apsw
from rich.console import Console
from rich.table import Table

from benchmarks.driver import LOADS, Gateway, Round, listening
from benchmarks.processes import BIN, output_of, running
from inferry.server.store.rows import ATTEMPT, EVENT, SPEC, STATE
from inferry.server.store.sqlite.store import SqliteStore

DAY_MS = 86_400_000
#: Of the tasks in the store; no server takes what waits.
TENANTS, WAITING_TYPE = 1_000, "waits"
#: How long each is pressed in its turn.
ROUND_S = 1.0

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
            'SELECT n, CAST(\'{"text":"a ferry"}\' AS BLOB) FROM n',
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
        'SELECT n, CAST(\'{"prompt":"a picture of a ferry","steps":30}\' AS BLOB) FROM n',
        {"first": first, "count": count},
    )


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1_024


async def measure(finished: int, waiting: int, rounds: int) -> None:
    """Starts a gateway on a full store and one on an empty one, and presses them in turns."""
    console = Console()
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.home())))
        backend, backend_url = await stack.enter_async_context(
            running([sys.executable, "-m", "benchmarks.backend"], scratch / "backend.log")
        )
        ends = await stack.enter_async_context(listening(backend))
        gateways: list[Gateway] = []
        table = Table("store", "start, s", "memory, MiB", "tasks/s", "p50, ms", "p99, ms")
        facts: dict[str, tuple[float, float]] = {}
        for name in ("empty", "full"):
            data = scratch / name
            data.mkdir()
            await fill(data / "inferry.db", *((finished, waiting) if name == "full" else (0, 0)))
            place = ("--data-dir", data)
            limits = {
                "INFERRY_QUEUE_LIMIT": "10000000",
                "INFERRY_QUEUE_LIMIT_PER_TENANT": "10000000",
            }
            began_s = time.perf_counter()
            command = ["env", *(f"{key}={value}" for key, value in limits.items())]
            process, url = await stack.enter_async_context(
                running(
                    [*command, BIN / "inferry", "serve", "--port", "0", "--grpc-port", "0", *place],
                    scratch / f"{name}.log",
                )
            )
            facts[name] = time.perf_counter() - began_s, _memory_mib(process.pid)
            token = await output_of([BIN / "inferry", "token", *place, "--role", "admin"])
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    headers={"Authorization": f"Bearer {token}"},
                )
            )
            gateway = Gateway(name, url, process.pid, session)
            await gateway.register(backend_url)
            gateways.append(gateway)
        load = LOADS[0]
        found: dict[str, list[Round]] = {gateway.name: [] for gateway in gateways}
        for gateway in gateways if rounds else ():
            await gateway.press(load, ROUND_S, ends)
        for _ in range(rounds):
            for gateway in gateways:
                found[gateway.name].append(await gateway.press(load, ROUND_S, ends))
        for name, measured in found.items():
            start_s, mib = facts[name]
            figures = (
                f"{median(one.rate for one in measured):.0f}" if measured else "",
                *(
                    f"{median(one.percentile_ms(share) for one in measured):.1f}"
                    if measured
                    else ""
                    for share in (0.5, 0.99)
                ),
            )
            table.add_row(name, f"{start_s:.2f}", f"{mib:.0f}", *figures)
        console.print(f"{finished:,} tasks have ended in the full store, {waiting:,} wait")
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_store")
    parser.add_argument("--finished", type=int, default=1_000_000, help="tasks that have ended")
    parser.add_argument("--waiting", type=int, default=100_000, help="tasks that wait")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of load of each gateway")
    given = parser.parse_args()
    asyncio.run(measure(given.finished, given.waiting, given.rounds))


if __name__ == "__main__":
    main()
