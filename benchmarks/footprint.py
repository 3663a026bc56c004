"""Measures what a task leaves behind: rows and bytes in the store, and bytes written on the way.

python -m benchmarks.footprint [--tasks N]

Tasks go by streams, as in benchmarks.streams: created in batches, one progress report, one end.
"""

import argparse
import asyncio
import secrets
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.streams import BATCH, SCRATCH, SLOTS, Watch, create, gateway_at, workers_of

#: Bytes of a task's payload.
PAYLOADS = (100, 1_000, 10_000, 100_000)
#: Under way at once, in bytes: what waits is not to fill the memory.
_UNDER_WAY_BYTES = 10_000_000


def written_bytes(pid: int) -> int:
    """Bytes that a process has sent to a disk."""
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/io").read_text().splitlines()
        if line.startswith("write_bytes:")
    ]
    return int(line.split()[1])


def rows_of(database: Path) -> Mapping[str, int]:
    """Counts the rows of each table."""
    with closing(sqlite3.connect(database)) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        counts = {}
        for (name,) in tables:
            (counts[name],) = db.execute(f"SELECT count(*) FROM {name}").fetchone()
        return counts


@dataclass(frozen=True, slots=True)
class Footprint:
    """What some tasks have left."""

    rows: Mapping[str, int]
    kept_bytes: int
    written_bytes: int


async def footprint_of(scratch: Path, tasks: int, payload_bytes: int) -> Footprint:
    """Lets at least so many tasks live on a gateway whose data is in a folder."""
    wrote = await _lives(scratch, tasks, payload_bytes)
    # The gateway has stopped: all is in the database, and nothing in the log beside it.
    database = scratch / "data" / "inferry.db"
    return Footprint(rows_of(database), database.stat().st_size, wrote)


async def _lives(scratch: Path, tasks: int, payload_bytes: int) -> int:
    frame = b'{"prompt":"%b"}'
    # Nothing that a store could make shorter.
    digits = secrets.token_hex(payload_bytes)[: payload_bytes - len(frame) + len("%b")]
    payload = frame % digits.encode()
    count = max(1, min(BATCH, _UNDER_WAY_BYTES // payload_bytes // 10))
    async with gateway_at(scratch) as place:
        watch = Watch(place)
        watching = asyncio.create_task(watch.run())
        async with workers_of(place, scratch, SLOTS, 1):
            before = written_bytes(place.gateway.pid)
            for created in range(0, tasks, count):
                await watch.until(created - 9 * count)
                await create(place, count, payload)
            await watch.until(-(-tasks // count) * count)
            wrote = written_bytes(place.gateway.pid) - before
        watching.cancel()
    return wrote


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint")
    parser.add_argument("--tasks", type=int, default=10_000, help="of each size")
    wanted = parser.parse_args().tasks
    table = Table("payload", "rows a task", "bytes kept a task", "bytes written a task")
    for payload_bytes in PAYLOADS:
        tasks = min(wanted, 100 * _UNDER_WAY_BYTES // payload_bytes)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as folder:
            left = await footprint_of(Path(folder), tasks, payload_bytes)
        lived = left.rows["tasks"]
        kinds = [
            f"{name} {count / lived:.1f}" for name, count in left.rows.items() if count >= lived
        ]
        kept, wrote = left.kept_bytes / lived, left.written_bytes / lived
        table.add_row(f"{payload_bytes:,}", ", ".join(kinds), f"{kept:,.0f}", f"{wrote:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    SCRATCH.mkdir(exist_ok=True)
    uvloop.run(_main())
