"""Kills, freezes and stops one of several replicas under load, every 2 s, and lets it come back."""

import asyncio
import os
import signal
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.crash.gateways import Gateways, running_gateways
from tests.crash.kill_loop import FROZEN_S, SETTINGS, TIMEOUT_MS
from tests.crash.load import Load, under_load
from tests.crash.verdict import Verdict
from tests.processes import GatewayProcess

REPLICAS = 3
CLIENTS = 24
#: Between two harms.
_EVERY_S = 2.0
#: How long a replica may be silent before others take over.
_LEASE_MS = 2_000
#: How long one stands still, at least and at most: longer than others wait for it.
_STANDS_STILL_S = (_LEASE_MS / 1_000 + 0.5, _LEASE_MS / 1_000 + 2.0)
#: The share of rounds in which something is done to a worker, too.
_HARM_WORKER = 0.3
_SETTINGS = {
    **SETTINGS,
    "INFERRY_REPLICA_LEASE_MS": str(_LEASE_MS),
    "INFERRY_SHUTDOWN_GRACE_MS": "500",
}


class Harm(StrEnum):
    """What is done to a replica."""

    #: SIGKILL.
    KILL = "replica killed"
    #: SIGSTOP for longer than its lease, then SIGCONT.
    FREEZE = "replica frozen"
    #: SIGTERM.
    STOP = "replica stopped"


#: Each comes as often as here before it all begins anew, in another order.
_HARMS = (Harm.KILL, Harm.KILL, Harm.FREEZE, Harm.STOP)


class Raider:
    """Does something to one replica after the other; one at least is left alone."""

    def __init__(self, gateways: Gateways, load: Load, random: Random) -> None:
        self._gateways = gateways
        self._load = load
        self._random = random
        self._coming: list[Harm] = []
        #: Whether everything was done that can be.
        self.all_done = False
        self._away: dict[GatewayProcess, asyncio.Task[None]] = {}

    async def harm(self) -> None:
        """Does something to a replica that is there."""
        there = [one for one in self._gateways.processes if one not in self._away]
        if len(there) == 1:
            await asyncio.wait(self._away.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        replica = self._random.choice(there)
        self._coming = self._coming or self._random.sample(_HARMS, len(_HARMS))
        harm = self._coming.pop()
        still_s = self._random.uniform(*_STANDS_STILL_S)
        self._load.history.kills.append(harm)
        self.all_done = self.all_done or not self._coming
        work = asyncio.create_task(self._come_and_go(replica, harm, still_s))
        self._away[replica] = work

    async def all_back(self) -> None:
        """Waits until all are there; raises what kept one from it."""
        await asyncio.gather(*self._away.values())

    async def _come_and_go(self, replica: GatewayProcess, harm: Harm, still_s: float) -> None:
        if harm is Harm.FREEZE:
            os.kill(replica.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(still_s)
            finally:
                os.kill(replica.pid, signal.SIGCONT)
        else:
            await (replica.kill() if harm is Harm.KILL else replica.stop())
            began_s = asyncio.get_running_loop().time()
            await replica.restart()
            taken_s = asyncio.get_running_loop().time() - began_s
            self._load.history.restarts_s.append(taken_s)
        self._load.open_gates()
        del self._away[replica]


async def run(directory: Path, store: str, tasks: int, seed: int) -> Verdict:
    """Harms replicas until so many tasks are acknowledged, lets everything end, and judges.

    Args:
        directory: For data and logs.
        store: URL of the database.
        tasks: How many tasks.
        seed: Of all that is drawn. The same seed makes the same plan; what becomes of it depends on
            the machine.
    """
    random = Random(seed)
    async with (
        running_gateways(directory, _SETTINGS, store, REPLICAS) as gateways,
        under_load(gateways, random, TIMEOUT_MS, CLIENTS, hears=True) as load,
    ):
        raider = Raider(gateways, load, random)
        while len(load.history.created) < tasks or not raider.all_done:
            await asyncio.sleep(_EVERY_S)
            await raider.harm()
            if random.random() < _HARM_WORKER:
                load.history.kills.append(await load.crew.harm(FROZEN_S))
        await raider.all_back()
        return await load.settle()
