"""Measures commits on both stores: the life of a task, step by step, in batches of some sizes.

``INFERRY_TEST_POSTGRES`` names a PostgreSQL, and with it its disk and its distance; without it one
is started on this machine, on the disk of the checkout and with all its syncs.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.machine import describe
from inferry.server.store import Store
from inferry.server.store.operations import Operation
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Accept, Progress, Succeed
from tests.postgres import URL, PostgresServer, database
from tests.server.store.samples import change, claim, waiting

SIZES = (1, 16, 256)
ROUND_S = 3.0
ROUNDS = 3
SCRATCH = Path(__file__).parent.parent / ".build"
_names = count(1)


def life(size: int) -> Iterator[tuple[str, list[Operation]]]:
    """Gives the batches of the lives of so many tasks at once."""
    ids = [f"task_{os.getpid()}_{next(_names)}" for _ in range(size)]
    yield "create", [waiting(task_id) for task_id in ids]
    yield "claim", [claim(*ids)]
    yield "accept", [change(task_id, Accept()) for task_id in ids]
    yield "report", [change(task_id, Progress(50.0, "half")) for task_id in ids]
    yield "finish", [change(task_id, Succeed(b'{"ok":true}')) for task_id in ids]


async def measure(store: Store, size: int) -> dict[str, tuple[int, float]]:
    """Runs lives for a while; gives how many commits of each kind took how long."""
    took: dict[str, tuple[int, float]] = {}
    ends_s = time.perf_counter() + ROUND_S
    while time.perf_counter() < ends_s:
        for kind, batch in life(size):
            began_s = time.perf_counter()
            await store.commit(batch)
            commits, seconds = took.get(kind, (0, 0.0))
            took[kind] = commits + 1, seconds + time.perf_counter() - began_s
    return took


@contextmanager
def postgres() -> Iterator[str]:
    """A server as careful with its disk as one that is in earnest."""
    if URL:
        yield URL
        return
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        server.create()
        server.start(fsync="on", full_page_writes="on", shared_buffers="256MB", max_wal_size="2GB")
        try:
            yield server.url
        finally:
            server.stop()


@asynccontextmanager
async def stores(folder: Path, url: str) -> AsyncIterator[dict[str, Store]]:
    """Opens one store of each kind."""
    made: dict[str, Store] = {
        "SQLite": SqliteStore(folder / "inferry.db"),
        "PostgreSQL": PostgresStore(PostgresOptions(url)),
    }
    for store in made.values():
        await store.open()
    yield made
    for store in made.values():
        await store.close()


async def main() -> None:
    """Prints a table: for each store and size commits and tasks' steps a second."""
    SCRATCH.mkdir(exist_ok=True)
    for what, value in describe(SCRATCH).items():
        print(f"{what:<12}{value}")
    with postgres() as server, tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        async with database(server) as url, stores(Path(folder), url) as made:
            print(f"{'store':<12}{'batch':>6}{'commits/s':>11}{'steps/s':>10}   ms a commit")
            for size in SIZES:
                # In turns, so that what else the machine does meets both.
                rounds = [(name, await measure(made[name], size)) for name in [*made] * ROUNDS]
                for name in made:
                    _say(name, size, [took for who, took in rounds if who == name])


def _say(name: str, size: int, rounds: list[dict[str, tuple[int, float]]]) -> None:
    sums = {
        kind: (sum(took[kind][0] for took in rounds), sum(took[kind][1] for took in rounds))
        for kind in rounds[0]
    }
    commits = sum(number for number, _ in sums.values())
    seconds = sum(spent for _, spent in sums.values())
    each = "  ".join(f"{kind} {1_000 * spent / n:.2f}" for kind, (n, spent) in sums.items())
    rate = commits / seconds
    print(f"{name:<12}{size:>6}{rate:>11,.0f}{rate * size:>10,.0f}   {each}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
