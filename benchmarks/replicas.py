"""Measures one gateway on SQLite, one and two on PostgreSQL: the same load on each, in turns.

Beside tasks a second: how often each replica notifies the others, what a task asks of the
database, and what share of the rows of tasks is dead in the end. All of them, the database, the
backend and the clients have this machine together, so that two replicas are no faster here than its
processors let them be.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from benchmarks.machine import describe
from benchmarks.statements import LOGGING, Counts, counted
from benchmarks.steady import SCRATCH, Offer, Steady, running_postgres, under_steady_load
from inferry.server.store.postgres.notices import EVENTS, SERVERS
from tests.backends import Backend, running_backend, say
from tests.crash.gateways import running_gateways
from tests.postgres import PostgresServer, database, on

ROUNDS, ROUND_S, WARM_UP_S, COUNTED_S = 3, 10.0, 2.0, 5.0
#: Where there is a free slot for each task, and where most tasks wait for one.
OFFERS = {
    "slots for all": Offer(servers=4),
    "a queue": Offer(clients=64, servers=4, slots=2),
}
#: Of the tables that change most. One that has next to no rows has most of them dead at any time:
#: how many pages that takes is what counts there.
_DEAD = """SELECT relname, n_live_tup, n_dead_tup, pg_relation_size(relid) / 8192
FROM pg_stat_user_tables WHERE n_tup_upd + n_tup_del > 0 ORDER BY n_tup_upd + n_tup_del DESC"""


@dataclass(slots=True)
class Setting:
    """So many gateways on a store."""

    name: str
    replicas: int
    #: URL of the database; None for a file.
    store: str | None
    folder: Path
    offer: Offer
    rates: list[float] = field(default_factory=list)
    notices: list[float] = field(default_factory=list)
    #: Of the last round.
    counts: Counts | None = None


@asynccontextmanager
async def noticed(store: str | None) -> AsyncIterator[list[int]]:
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


async def measure(
    setting: Setting, backend: Backend, server: PostgresServer, *, last: bool
) -> None:
    """Runs its gateways for a round; in the last one it is counted as well what they ask."""
    folder = Path(tempfile.mkdtemp(dir=setting.folder))
    async with (
        running_gateways(folder, {}, setting.store, setting.replicas) as gateways,
        under_steady_load(gateways, backend, setting.offer) as steady,
        noticed(setting.store) as senders,
    ):
        await asyncio.sleep(WARM_UP_S)
        await _round(setting, steady, senders)
        if last and setting.store is not None:
            async with counted(server, setting.store) as setting.counts:
                await asyncio.sleep(COUNTED_S)


async def _round(setting: Setting, steady: Steady, senders: list[int]) -> None:
    senders.clear()
    began_s = time.monotonic()
    await asyncio.sleep(ROUND_S)
    ended_s = time.monotonic()
    setting.rates.append(steady.rate(began_s, ended_s))
    busiest = max((senders.count(one) for one in set(senders)), default=0)
    setting.notices.append(busiest / (ended_s - began_s))


async def main(rounds: int) -> None:
    """Prints a table for each offer."""
    SCRATCH.mkdir(exist_ok=True)
    for what, value in describe(SCRATCH).items():
        print(f"{what:<12}{value}")
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running_postgres(**LOGGING))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH)))
        url = await stack.enter_async_context(database(server.url))
        answer = say({"status": "success", "result": 1})
        backend = await stack.enter_async_context(running_backend(answer))
        began_s = time.monotonic()
        for name, offer in OFFERS.items():
            settings = [
                Setting("SQLite", 1, None, folder, offer),
                Setting("PostgreSQL, 1 gateway", 1, url, folder, offer),
                Setting("PostgreSQL, 2 gateways", 2, url, folder, offer),
            ]
            for number in range(1, rounds + 1):
                for setting in settings:
                    await measure(setting, backend, server, last=number == rounds)
            _show(name, settings)
        for table, live, dead, pages in await on(url, _DEAD):
            share = dead / max(1, live + dead)
            print(f"{table}: {live} rows, {dead} dead ones, {share:.1%}; {pages} pages")
        print(f"after {time.monotonic() - began_s:.0f} s")


def _show(name: str, settings: Sequence[Setting]) -> None:
    print(f"{name:<26}{'tasks/s':>9}{'lowest':>9}{'highest':>9}   notices/s of the busiest")
    for one in settings:
        rates = f"{median(one.rates):>9.0f}{min(one.rates):>9.0f}{max(one.rates):>9.0f}"
        print(f"{one.name:<26}{rates}   {max(one.notices):.0f}")
    for one in settings:
        for line in () if one.counts is None else one.counts.lines():
            print(f"{one.name}: {line}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each setting")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parser.parse_args().rounds))
