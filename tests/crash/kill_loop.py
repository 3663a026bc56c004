"""Kills a gateway and its workers under load and starts them again, again and again."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.crash.gateways import running_gateways
from tests.crash.load import Load, under_load
from tests.crash.moments import Moment
from tests.crash.verdict import Verdict
from tests.processes import GatewayProcess

#: How long the gateway serves at least, and at most, before the next kill is due.
_SERVES_S = (0.05, 0.5)
#: How long a moment is waited for.
_MOMENT_WITHIN_S = 0.5
#: How soon after its moment a kill comes: a call takes about as long.
_AIM_S = 0.008
#: Recovery takes about as long.
_RECOVERY_S = 0.05
#: What a kill lost on its way to a worker ends by this clock.
TIMEOUT_MS = 5_000
#: Between heartbeats of workers, and how long what they have is kept for them.
_BEAT_MS, _LEASE_MS = 300, 1_000
SETTINGS = {
    "INFERRY_WORKER_HEARTBEAT_MS": str(_BEAT_MS),
    "INFERRY_LEASE_MS": str(_LEASE_MS),
    "INFERRY_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
}
#: Three silent intervals, the lease, and more.
FROZEN_S = (3 * _BEAT_MS + _LEASE_MS) / 1_000 + 0.5
#: The share of rounds in which something is done to a worker, not to the gateway.
_HARM = 0.5
#: Holds the id of the process that has the data open.
_LOCK = "inferry.db.lock"


class Killer:
    """Kills a gateway at the moments that hurt, and harms its workers."""

    def __init__(self, gateway: GatewayProcess, load: Load, random: Random) -> None:
        self._gateway = gateway
        self._load = load
        self._random = random

    async def kill_and_restart(self) -> None:
        """Lets the gateway serve a while, kills it at some moment and starts it again."""
        moment = self._random.choice(list(Moment))
        await asyncio.sleep(self._random.uniform(*_SERVES_S))
        if moment not in (Moment.ANY, Moment.RECOVERY):
            await self._await(moment)
        await self._gateway.kill()
        self._load.history.kills.append(moment)
        if moment is Moment.RECOVERY:
            await self._kill_in_recovery()
        began_s = time.monotonic()
        await self._gateway.restart()
        self._load.history.restarts_s.append(time.monotonic() - began_s)
        self._load.open_gates()

    async def harm_a_worker(self) -> None:
        """Lets all work for a while, and does something to a worker."""
        await asyncio.sleep(self._random.uniform(*_SERVES_S))
        self._load.history.kills.append(await self._load.crew.harm(FROZEN_S))

    async def _await(self, moment: Moment) -> None:
        """Waits for a moment and a little longer, but not for ever."""
        passed = asyncio.Event()
        delay_s = self._random.uniform(0.0, _AIM_S)
        self._load.moments.wait_for(moment, delay_s, passed.set)
        if moment is Moment.BURST:
            self._load.open_gates()
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT_WITHIN_S):
                await passed.wait()
        self._load.moments.give_up()

    async def _kill_in_recovery(self) -> None:
        """Starts the gateway and kills it soon after it has opened its database."""
        before = self._holder()
        starting = asyncio.create_task(self._gateway.restart())
        while self._holder() in (0, before):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.001)
        await asyncio.sleep(self._random.uniform(0.0, _RECOVERY_S))
        # Who does not wait for it to be ready kills it; it may just have become so.
        starting.cancel()
        await asyncio.wait({starting})
        await self._gateway.kill()

    def _holder(self) -> int:
        """Reads which process has the data open, or had it last; 0 while that is being written."""
        return int((self._gateway.data_dir / _LOCK).read_text() or 0)


async def run(directory: Path, kills: int, seed: int) -> Verdict:
    """Kills a gateway or a worker so many times under load, lets everything end, and judges.

    Args:
        directory: For its data and logs.
        kills: How often.
        seed: Of all that is drawn. The same seed makes the same plan; what becomes of it depends on
            the machine.
    """
    random = Random(seed)
    async with (
        running_gateways(directory, SETTINGS) as gateways,
        under_load(gateways, random, TIMEOUT_MS, hears=True) as load,
    ):
        killer = Killer(gateways.processes[0], load, random)
        for _ in range(kills):
            if random.random() < _HARM:
                await killer.harm_a_worker()
            else:
                await killer.kill_and_restart()
        return await load.settle()
