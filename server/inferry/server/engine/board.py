"""Shows watchers where their tasks stand in the queue: one look at it for all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.signals import Place, Signal
from inferry.server.loop import Loop
from inferry.server.task.record import TaskRecord

#: How often it looks.
LOOK_S = 2.0
#: Watchers that are woken before everything else has its turn again.
_WOKEN_AT_ONCE = 50


class Board(Loop):
    """Wakes a watcher when its task's place has changed, or what it may hope; nobody else."""

    def __init__(self, queue: QueueView) -> None:
        super().__init__()
        self._queue = queue
        #: Watchers of tasks that wait.
        self._watching: dict[Signal, TaskRecord] = {}
        #: Set while there are any.
        self._watched = asyncio.Event()

    @contextmanager
    def follow(self, signal: Signal) -> Iterator[None]:
        """Lets ``show`` be used; forgets the watcher when it is done."""
        try:
            yield
        finally:
            self._forget(signal)

    def show(self, signal: Signal, record: TaskRecord) -> None:
        """Gives a watcher its task's place: at once, and as it changes while the task waits."""
        signal.place = self._queue.place_of(record)
        if record.waiting:
            self._watching[signal] = record
            self._watched.set()
        else:
            self._forget(signal)

    async def run_once(self) -> None:
        """Looks, and wakes those whose place is another one."""
        places = self._queue.places_of(self._watching.values())
        moved: list[Signal] = []
        for signal, record in self._watching.items():
            place, before = places.get(record.spec.id), signal.place
            if place is None or before is None or _differs(place, before):
                signal.place = place
                moved += [signal] if place is not None else []
        for first in range(0, len(moved), _WOKEN_AT_ONCE):
            for signal in moved[first : first + _WOKEN_AT_ONCE]:
                signal.event.set()
            await asyncio.sleep(0)

    async def pause(self) -> None:
        """Waits for the next look; for as long as nobody watches."""
        await self._watched.wait()
        await asyncio.sleep(LOOK_S)

    def _forget(self, signal: Signal) -> None:
        self._watching.pop(signal, None)
        if not self._watching:
            self._watched.clear()


def _differs(place: Place, before: Place) -> bool:
    """Whether it is another place, or when the task starts can or cannot be told any more."""
    return place.position != before.position or bool(place.starts_ms) != bool(before.starts_ms)
