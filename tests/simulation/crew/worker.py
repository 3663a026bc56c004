"""A worker: a name, what it can do, and the processes that come and go under that name."""

import asyncio
from random import Random

from inferry.server.config import Config
from tests.simulation.crew.books import Books
from tests.simulation.crew.process import Process
from tests.simulation.crew.wire import Metadata, Wire
from tests.simulation.life import Life
from tests.simulation.site import Site
from tests.simulation.world import World


class Worker:
    """One of them.

    Args:
        world: Where it lives.
        site: What it dials.
        name: Its own.
        capabilities: Types it takes.
        slots: How many tasks it takes at once.
        metadata: Its token.
        books: See what passes on its streams.
        config: The gateway's settings.
    """

    def __init__(
        self,
        world: World,
        site: Site,
        name: str,
        capabilities: tuple[str, ...],
        slots: int,
        *,
        metadata: Metadata,
        books: Books,
        config: Config,
    ) -> None:
        self.world = world
        self.site = site
        self.name = name
        self.capabilities = capabilities
        self.slots = slots
        #: How many it does take: it may say more than it grants.
        self.room = world.random(f"room/{name}").choice((1, slots, slots))
        self.books = books
        self.beat_s = config.worker_heartbeat_ms / 1_000
        #: Since when no process runs under its name; None while one does.
        self.dead_s: float | None = world.loop.time()
        self.processes: list[Process] = []
        #: The last stream that was opened under its name.
        self.last: Wire | None = None
        self._metadata = metadata
        self._stalled_ms = config.worker_stalled_ms
        self._random: Random = world.random(f"worker/{name}")
        self._numbers = 0

    @property
    def process(self) -> Process | None:
        """The one process that runs under its name; None if none or more do."""
        alive = [process for process in self.processes if process.alive]
        return alive[0] if len(alive) == 1 else None

    def start(self) -> Process:
        """Starts a process, beside what runs already."""
        self._numbers += 1
        process = Process(self, self._numbers)
        self.processes.append(process)
        self.dead_s = None
        return process

    def wire(self, life: Life, name: str) -> Wire:
        """Opens a stream."""
        self.last = Wire(self.world, life, name, self._metadata, self.books, self._stalled_ms)
        return self.last

    def look(self) -> None:
        """Notes when the last process of it is gone."""
        if self.dead_s is None and not any(process.alive for process in self.processes):
            self.dead_s = self.world.loop.time()

    def revive(self) -> None:
        """Has one process run well under its name."""
        alive = [process for process in self.processes if process.alive and not process.leaving]
        for process in self.processes:
            if process not in alive[:1]:
                process.die()
        for process in alive[:1] or [self.start()]:
            process.awake.set()
            process.handling.set()

    async def die(self) -> None:
        """All its processes die, and after a while it is started again."""
        for process in self.processes:
            if process.wire is not None and self._random.random() < 0.3:
                process.wire.hush()
            process.die()
        self.look()
        await asyncio.sleep(self._random.choice((1, 5, 20)) * self._random.uniform(0.5, 1))
        self._start_again()

    async def freeze(self) -> None:
        """A process is stopped by a signal, and goes on later."""
        for process in self.processes:
            process.awake.clear()
        await asyncio.sleep(self._random.choice((0.5, 4, 12)) * self._random.random())
        for process in self.processes:
            process.wronged_s = self.world.loop.time()
            process.awake.set()

    async def stall(self) -> None:
        """Handlers do not get on for a while, and heartbeats say so."""
        for process in self.processes:
            process.handling.clear()
            process.beat()
        await asyncio.sleep(self._random.uniform(0.5, 6))
        for process in self.processes:
            process.handling.set()
            process.beat()

    async def leave(self) -> None:
        """Says goodbye, and comes back after a while."""
        for process in self.processes:
            if process.alive and not process.leaving:
                process.start(process.leave())
        await asyncio.sleep(self._random.uniform(0, 12))
        self._start_again()

    async def twin(self) -> None:
        """Another process comes under its name, and one of them goes after a while."""
        self.start()
        await asyncio.sleep(self._random.uniform(0, 4))
        alive = [process for process in self.processes if process.alive]
        if len(alive) > 1:
            self._random.choice(alive).die()

    def _start_again(self) -> None:
        if not any(process.alive and not process.leaving for process in self.processes):
            self.start()
