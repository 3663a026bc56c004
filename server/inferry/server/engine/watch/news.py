"""What a watch of many tasks tells, and how long it waits between two words."""

import asyncio
from dataclasses import dataclass
from typing import Final

from inferry.server.engine.watch.watcher import Watcher
from inferry.server.store import Vector
from inferry.server.store.operations import Logged
from inferry.server.task.record import TaskRecord

#: Tasks that are shown at once, at most.
PAGE: Final = 100
#: While events come one after the other, they are gathered for so long.
_GATHER_S = 0.005
#: Who hears nothing is told the cursor so often: a cursor that ages is worth less and less.
QUIET_S = 15.0


#: So much before its time it is time: timers are not exact.
_EARLY_S = 0.001


@dataclass(frozen=True, slots=True)
class News:
    """One word of a watch. What it says of tasks goes before what it says of events."""

    #: Tasks as they are.
    tasks: tuple[TaskRecord, ...] = ()
    #: Tasks that were asked for and are not there.
    missing: tuple[str, ...] = ()
    events: tuple[Logged, ...] = ()
    #: Whether all tasks have been shown.
    complete: bool = False
    #: Whether the cursor was too old to go on from.
    restarted: bool = False
    #: What the watch goes on after; None while that cannot be said.
    vector: Vector | None = None


class Pace:
    """Lets a watcher sleep until there is something to say, and then gather a little."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._said_s = 0.0
        self._vector: Vector | None = None

    def said(self, vector: Vector) -> None:
        """Notes that something was said, and up to where."""
        self._said_s, self._vector = asyncio.get_running_loop().time(), vector

    async def wait(self) -> None:
        """Waits for a bell, or until it is time to speak all the same."""
        now_s = asyncio.get_running_loop().time()
        await self._watcher.sleep(max(0.0, self._said_s + QUIET_S - now_s))
        if asyncio.get_running_loop().time() - self._said_s < _GATHER_S:
            await asyncio.sleep(_GATHER_S)

    def due(self, vector: Vector) -> bool:
        """Whether a cursor is to be said though nothing happened."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_s < QUIET_S - _EARLY_S:
            return False
        # Also when there is nothing to say: the next time is as far away.
        self._said_s = now_s
        return vector != self._vector
