"""A background loop: a service with start, stop and a ``run_once`` that tests call themselves."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

from inferry.server.errors import UnavailableError

_log = structlog.get_logger(__name__)

#: Pause after a run that failed.
_STUMBLE_S = 1.0


async def wait_for(event: asyncio.Event, within_s: float | None) -> None:
    """Waits until an event is set, or so long; None waits for as long as it takes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


class Loop(ABC):
    """Runs, pauses, runs again, until it is stopped. A run that fails is logged and repeated."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self) -> None:
        """Does what there is to do now."""

    @abstractmethod
    async def pause(self) -> None:
        """Waits until there may be something to do again."""

    def start(self) -> None:
        """Begins to run in the background."""
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """Ends the run under way at its next wait; no error if it was never started."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self.run_once()
                await self.pause()
            except UnavailableError as error:
                # The committer has said why.
                _log.warning("a loop waits", loop=type(self).__name__, error=error.message)
                await asyncio.sleep(_STUMBLE_S)
            except Exception:  # noqa: BLE001  # whatever it was, the next run may do better
                _log.exception("a loop stumbled and goes on", loop=type(self).__name__)
                await asyncio.sleep(_STUMBLE_S)
