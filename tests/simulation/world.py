"""One simulated world: its time, its luck, its faults and its record of what happened."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from hashlib import blake2b
from random import Random
from typing import Any

from tests.simulation.history import History
from tests.simulation.loop import SimulatedLoop
from tests.simulation.weather import Weather

#: When every world begins.
EPOCH_MS = 1_700_000_000_000


class ViolationError(Exception):
    """The gateway broke a promise; the message says which."""


class World:
    """What all that is simulated shares.

    Args:
        seed: Everything follows from it.
        show: Whether each event is printed as it happens.
    """

    def __init__(self, seed: int, loop: SimulatedLoop, *, show: bool = False) -> None:
        self.seed = seed
        self.loop = loop
        self.history = History()
        self.weather = Weather.drawn(self.random("weather"))
        #: Over: no more faults.
        self.calm = False
        #: How far the machine's wall clock is off; jumps change it.
        self.offset_ms = 0
        #: How long the gateway could not do its work, for reasons that are not its own; seconds.
        self.excused_s = 0.0
        self._luck = self.random("luck")
        self._context = copy_context()
        self._digest = blake2b(digest_size=16)
        self._show = show
        self._ids = 0
        self._violated: asyncio.Future[None] = loop.create_future()
        #: Whatever runs and is no part of a gateway's life.
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def random(self, name: str) -> Random:
        """Makes a stream of random numbers for one purpose."""
        return Random(f"{self.seed}/{name}")

    def now_ms(self) -> int:
        """The machine's wall clock."""
        return EPOCH_MS + self.offset_ms + int(self.loop.time() * 1_000)

    def monotonic_ns(self) -> int:
        """The machine's monotonic clock."""
        return int(self.loop.time() * 1_000_000_000)

    def new_ulid(self) -> str:
        """Makes the next id: as long as a ULID, and the same in each run."""
        self._ids += 1
        return f"01SIM{self._ids:021d}"

    def happens(self, probability: float) -> bool:
        """Draws whether a fault of some probability strikes now; never once it is calm."""
        return not self.calm and probability > 0 and self._luck.random() < probability

    def between(self, least: float, most: float) -> float:
        """Draws a number."""
        return self._luck.uniform(least, most)

    async def travel(self) -> None:
        """Lets a message be on its way."""
        longest = 0.002 if self.calm else self.weather.latency_s
        await asyncio.sleep(self.between(0.0, longest))

    def trace(self, *words: object) -> None:
        """Notes an event: in the run's hash, and on the screen when that is wanted."""
        line = f"{self.loop.time():.6f} {' '.join(map(str, words))}"
        self._digest.update(line.encode() + b"\n")
        if self._show:
            print(line, flush=True)  # noqa: T201

    @property
    def trace_hash(self) -> str:
        """Fingerprint of all events so far."""
        return self._digest.hexdigest()

    def violate(self, what: str) -> None:
        """Notes a broken promise; the first one ends the run."""
        self.trace("VIOLATION", what)
        if not self._violated.done():
            self._violated.set_exception(ViolationError(what))

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something that is no part of a gateway's life; its errors end the run."""
        task = self.loop.create_task(coro, context=self._context.copy())
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if not self._violated.done():
                assert error is not None
                self._violated.set_exception(error)

    async def until_done(self, task: asyncio.Task[Any]) -> None:
        """Waits for a task of this world.

        Raises:
            ViolationError: A promise was broken meanwhile.
        """
        await asyncio.wait({task, self._violated}, return_when=asyncio.FIRST_COMPLETED)
        if self._violated.done():
            self._violated.result()
        await task

    @property
    def context(self) -> Context:
        """The context of whatever is no part of a gateway's life."""
        return self._context.copy()
