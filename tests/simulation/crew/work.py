"""What a worker does for one attempt."""

import asyncio
from typing import TYPE_CHECKING, Any

from tests.simulation.crew.books import Key
from tests.simulation.history import Run

if TYPE_CHECKING:
    from tests.simulation.crew.process import Process

#: Makes a result too large for one message.
_LARGE = "x" * 1_500


class Work:
    """Works, reports, ends; or is cancelled.

    Args:
        process: Whose it is.
        key: The attempt.
        run: What the world remembers of it.
    """

    def __init__(self, process: "Process", key: Key, run: Run) -> None:
        self._process = process
        self._key = key
        self._run = run
        self._cancelled = False
        self._deaf = process.world.happens(process.world.weather.deaf_p)
        self._doing = process.start(self._do())

    def cancel(self) -> None:
        """Is to stop; it takes its time, or does not."""
        if not self._cancelled:
            self._cancelled = True
            self._process.start(self._stop())

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._cancelled

    async def _stop(self) -> None:
        process = self._process
        if self._deaf:
            await asyncio.wait({self._doing})
        else:
            self._doing.cancel()
            await self._pause(process.random.choice((0.0, 0.0, 1.0)) * process.random.random())
        if self._here:
            process.stopped(self._key)

    async def _do(self) -> None:
        process, random = self._process, self._process.random
        for step in range(random.randint(0, 2)):
            await self._pause(random.uniform(0, 0.5))
            self._tell({"status": "PROCESSING", "progress": 30 * step, "message": f"step {step}"})
        if process.world.happens(process.world.weather.hang_p):
            process.world.trace(process.name, "hangs", *self._key)
            await asyncio.sleep(10_000)
        await self._pause(random.choice((0.0, 0.05, 0.5, 2.0, 8.0)) * random.random())
        if not self._here or self._cancelled:
            return
        end = self._ending()
        del process.works[self._key]
        process.desk.report(self._key, end)

    def _ending(self) -> dict[str, Any]:
        random, world = self._process.random, self._process.world
        luck = random.random() if world.happens(0.5) else 1.0
        if luck < 0.2 or world.happens(world.weather.reject_p / 2):
            self._run.retryable = random.random() < 0.5
            return {"status": "FAILED", "error": "no", "retryable": self._run.retryable}
        if luck < 0.25:
            return {"status": "TIMEOUT", "error": "too slow"}
        if luck < 0.3:
            return {"status": "CANCELLED", "error": "by its operator"}
        result: dict[str, Any] = {"attempt": self._key[1], "number": 1}
        if random.random() < 0.2:
            result["much"] = _LARGE
        return {"status": "COMPLETED", "result": result}

    @property
    def _here(self) -> bool:
        return self._process.works.get(self._key) is self

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._process.handling.wait()
        await self._process.awake.wait()

    def _tell(self, said: dict[str, Any]) -> None:
        if self._here and not self._cancelled:
            self._process.desk.report(self._key, said)
