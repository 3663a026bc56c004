"""Does to the database of two replicas what happens to databases, under load, and judges."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.crash.database import Database
from tests.crash.gateways import running_gateways
from tests.crash.kill_loop import SETTINGS, TIMEOUT_MS
from tests.crash.load import CLIENTS, Load, under_load
from tests.crash.verdict import Verdict
from tests.postgres import PostgresServer

REPLICAS = 2
#: Few connections are soon taken.
ROOM = {"max_connections": "40"}
#: Between two harms.
_EVERY_S = 3.0
#: Tasks whose rows an idle transaction keeps locked, until the end of the loop.
_LOCKED = 5
#: Beside them all goes on; clients wait no longer for what is locked.
_SETTINGS = {**SETTINGS, "INFERRY_REPLICA_LEASE_MS": "10000"}


class Harm(StrEnum):
    """What is done to it."""

    TERMINATE = "connections terminated"
    EXHAUST = "connections taken"
    RESTART = "database restarted"
    CRASH = "database crashed"


async def run(
    directory: Path,
    server: PostgresServer,
    url: str,
    rounds: int,
    seed: int,
    clients: int = CLIENTS,
) -> Verdict:
    """Does each thing so many times, lets everything end, and judges.

    Args:
        directory: For data and logs.
        server: The server.
        url: A database on it.
        rounds: How often.
        seed: Of all that is drawn.
        clients: How many put load on the replicas; with 48 each has more than it can do.
    """
    random, database = Random(seed), Database(server, url, ROOM)
    deeds: dict[Harm, Callable[[], Awaitable[None]]] = {
        Harm.TERMINATE: database.terminate_all,
        Harm.EXHAUST: database.exhaust,
        Harm.RESTART: database.restart,
        Harm.CRASH: database.crash,
    }
    async with (
        running_gateways(directory, _SETTINGS, url, REPLICAS) as gateways,
        under_load(gateways, random, TIMEOUT_MS, clients) as load,
    ):
        await asyncio.sleep(_EVERY_S)
        await database.lock(_some(load))
        for _ in range(rounds):
            for harm, deed in deeds.items():
                await asyncio.sleep(_EVERY_S)
                load.history.kills.append(harm)
                await deed()
                load.open_gates()
        await asyncio.sleep(_EVERY_S)
        await database.let_go()
        return await load.settle()


def _some(load: Load) -> list[str]:
    """Names the tasks that were created last: they are waited for, reported on and cancelled."""
    latest = [*load.history.created.values()][-_LOCKED:]
    return [task_id for ids in latest for task_id in ids]
