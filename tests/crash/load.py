"""Backends, workers and clients around the gateways: the load under which they are killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from tests.crash.aftermath import collect
from tests.crash.checker import check
from tests.crash.clients import Client
from tests.crash.crew import Crew, running_crew
from tests.crash.ear import Ear, listening
from tests.crash.gateways import Gateways
from tests.crash.history import History
from tests.crash.moments import Moments
from tests.crash.onlookers import Onlooker, running_onlookers
from tests.crash.rest import Rest, running_rest
from tests.crash.rpc import Rpc, running_rpc
from tests.crash.verdict import Verdict
from tests.crash.workers import Worker, running_worker

WORKERS = 2
STREAMED = 2
CLIENTS = 12
#: Attempts that a worker takes at once: more than what kills leave hanging until they time out.
_SLOTS = 200


class Load:
    """What is around the gateways."""

    def __init__(
        self,
        gateways: Gateways,
        history: History,
        rest: Rest,
        rpc: Rpc,
        moments: Moments,
        crew: Crew,
        onlookers: Sequence[Onlooker],
    ) -> None:
        self.gateways = gateways
        self.history = history
        #: The workers that dial in.
        self.crew = crew
        self.moments = moments
        self._onlookers = onlookers
        self._rest = rest
        self._rpc = rpc
        #: Hears of ends by webhook.
        self.ear: Ear | None = None
        self._workers: list[Worker] = []
        self._clients: list[Client] = []
        self._living: list[asyncio.Task[None]] = []

    async def begin(
        self, stack: AsyncExitStack, random: Random, timeout_ms: int, clients: int
    ) -> None:
        """Starts the workers, registers them and lets the clients begin."""
        for number in range(WORKERS):
            name = f"worker-{number}"
            running = running_worker(name, self.gateways, self.history, self.moments)
            worker, backend = await stack.enter_async_context(running)
            self._workers.append(worker)
            said = {"url": backend.url, "name": name, "maxConcurrent": _SLOTS}
            status, answer = await self._rest.until_answered("POST", "/api/servers/register", said)
            assert status == 200, answer
        living = await stack.enter_async_context(asyncio.TaskGroup())
        for _ in range(clients):
            own = Random(random.random())
            client = Client(self._rest, self._rpc, self.history, self.moments, own, timeout_ms)
            self._clients.append(client)
            self._living.append(living.create_task(client.live()))

    def open_gates(self, *, for_good: bool = False) -> None:
        """Lets all workers report what they keep for a burst."""
        for worker in self._workers:
            worker.open_gate(for_good=for_good)

    async def settle(self) -> Verdict:
        """Lets everything that has begun come to its end, and judges."""
        for client in self._clients:
            client.stopped = True
        self.open_gates(for_good=True)
        await self.crew.restore()
        await asyncio.gather(*self._living)
        aftermath = await collect(self._rest)
        for onlooker in self._onlookers:
            await onlooker.until_all(aftermath)
        if self.ear is not None:
            await self.ear.until_told(aftermath)
        self.history.runs += self.crew.runs()
        ends = Counter(remains.task["status"] for remains in aftermath.values())
        return Verdict(check(self.history, aftermath), self.history, ends)


@asynccontextmanager
async def under_load(
    gateways: Gateways,
    random: Random,
    timeout_ms: int,
    clients: int = CLIENTS,
    *,
    hears: bool = False,
) -> AsyncIterator[Load]:
    """Puts load on gateways until the block ends.

    Args:
        gateways: They may be killed, stopped and started again meanwhile.
        random: Draws what clients do.
        timeout_ms: Of the attempts of asynchronous tasks.
        clients: How many there are.
        hears: Whether a webhook is told of all ends; its gateways have to allow that.
    """
    history, moments = History(), Moments()
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(running_rest(gateways, history))
        rpc = await stack.enter_async_context(running_rpc(gateways, history))
        crew = await stack.enter_async_context(
            running_crew(gateways, STREAMED, Random(random.random()))
        )
        onlookers = await stack.enter_async_context(
            running_onlookers(gateways, history, Random(random.random()))
        )
        load = Load(gateways, history, rest, rpc, moments, crew, onlookers)
        if hears:
            own = Random(random.random())
            load.ear = await stack.enter_async_context(listening(rest, history, own))
        await load.begin(stack, random, timeout_ms, clients)
        yield load
