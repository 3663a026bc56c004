"""Measures one gateway on SQLite, one and two on PostgreSQL: the same load on each, in turns.

Beside tasks a second: how often each replica notifies the others, and what share of the rows of
tasks is dead in the end. All of them, the database, the backend and the clients have this machine
together, so that two replicas are no faster here than its processors let them be.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from benchmarks.machine import describe
from benchmarks.steady import SCRATCH, Steady, running_postgres, under_steady_load
from inferry.server.store.postgres.notices import EVENTS, SERVERS
from tests.backends import Backend, running_backend, say
from tests.crash.gateways import running_gateways
from tests.postgres import database, on

ROUNDS, ROUND_S, WARM_UP_S = 3, 10.0, 2.0
#: Of the table that changes most.
_DEAD = """SELECT relname, n_live_tup, n_dead_tup FROM pg_stat_user_tables
WHERE relname IN ('tasks', 'waiting') ORDER BY relname"""


@dataclass(slots=True)
class Setting:
    """So many gateways on a store."""

    name: str
    replicas: int
    #: URL of the database; None for a file.
    store: str | None
    folder: Path
    rates: list[float] = field(default_factory=list)
    notices: list[float] = field(default_factory=list)


@asynccontextmanager
async def counted(store: str | None) -> AsyncIterator[list[int]]:
    """Lists the processes of the database that notified, one by one."""
    senders: list[int] = []
    if store is None:
        yield senders
        return
    db = await asyncpg.connect(store)
    for channel in (EVENTS, SERVERS):
        await db.add_listener(channel, lambda _db, sender, *_rest: senders.append(sender))
    try:
        yield senders
    finally:
        db.terminate()


async def measure(setting: Setting, backend: Backend) -> None:
    """Runs its gateways for all of the rounds that are to be measured at once."""
    folder = Path(tempfile.mkdtemp(dir=setting.folder))
    async with (
        running_gateways(folder, {}, setting.store, setting.replicas) as gateways,
        under_steady_load(gateways, backend) as steady,
        counted(setting.store) as senders,
    ):
        await asyncio.sleep(WARM_UP_S)
        await _round(setting, steady, senders)


async def _round(setting: Setting, steady: Steady, senders: list[int]) -> None:
    senders.clear()
    began_s = time.monotonic()
    await asyncio.sleep(ROUND_S)
    ended_s = time.monotonic()
    setting.rates.append(steady.rate(began_s, ended_s))
    busiest = max((senders.count(one) for one in set(senders)), default=0)
    setting.notices.append(busiest / (ended_s - began_s))


async def main() -> None:
    """Prints a table."""
    SCRATCH.mkdir(exist_ok=True)
    for what, value in describe(SCRATCH).items():
        print(f"{what:<12}{value}")
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running_postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH)))
        url = await stack.enter_async_context(database(server.url))
        answer = say({"status": "success", "result": 1})
        backend = await stack.enter_async_context(running_backend(answer))
        settings = [
            Setting("SQLite", 1, None, folder),
            Setting("PostgreSQL, 1 gateway", 1, url, folder),
            Setting("PostgreSQL, 2 gateways", 2, url, folder),
        ]
        began_s = time.monotonic()
        for _ in range(ROUNDS):
            for setting in settings:
                await measure(setting, backend)
        print(f"{'':<26}{'tasks/s':>9}{'lowest':>9}{'highest':>9}   notices/s of the busiest")
        for one in settings:
            rates = f"{median(one.rates):>9.0f}{min(one.rates):>9.0f}{max(one.rates):>9.0f}"
            print(f"{one.name:<26}{rates}   {max(one.notices):.0f}")
        for name, live, dead in await on(url, _DEAD):
            share = dead / max(1, live + dead)
            print(f"{name}: {live} rows, {dead} dead ones, {share:.1%}")
        print(f"after {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
