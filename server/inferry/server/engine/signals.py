"""Who waits for news of a task in this process, and how they are woken.

A signal carries no data beside the latest record, outcome and place: whoever wants more reads the
store, so a slow reader misses nothing and nothing piles up for it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from inferry.server.errors import UnavailableError
from inferry.server.task.record import Outcome, TaskRecord

#: When to ask a gateway again that stops: another one may be there by then.
_AGAIN_S = 5


class Place(NamedTuple):
    """Where a waiting task stands."""

    #: Its place in the queue, from 1.
    position: int
    #: When it will start if the queue moves on as it does; 0 when nobody can tell.
    starts_ms: int
    #: Whether both are told exactly: else it is not before that place, and starts no earlier.
    exact: bool = True


@dataclass(slots=True, eq=False)
class Signal:
    """One waiter's bell."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    #: Whether the task may have changed since the waiter last looked; else only its place has.
    changed: bool = True
    #: The task as of the last ring, or as it was when the wait for its end began.
    record: TaskRecord | None = None
    #: What the task ended with, if the last ring said so.
    outcome: Outcome | None = None
    #: Where the task stands, for those who follow that; None when it does not wait for its turn.
    place: Place | None = None
    #: Whether nobody will ring it any more.
    dismissed: bool = False

    def dismiss(self) -> None:
        """Ends the wait for the task's end: nobody here will see it."""
        self.dismissed = True
        self.event.set()

    async def final(self, record: TaskRecord) -> TaskRecord:
        """Waits for the end of a task, seen from ``record`` on.

        Raises:
            UnavailableError: The gateway stops, and the task goes on; details carry ``taskId``.
        """
        self.record = self.record or record
        while not record.status.final:
            if self.dismissed:
                task_id = record.spec.id
                raise UnavailableError(
                    f"the gateway stops while task {task_id} goes on; ask for that task later "
                    "instead of creating it again",
                    retry_after_s=_AGAIN_S,
                    taskId=task_id,
                )
            await self.event.wait()
            self.event.clear()
            record = self.record
        return record


class Signals:
    """All bells, by task."""

    def __init__(self) -> None:
        #: In the order in which they came: who waited longest is woken first.
        self._waiting: dict[str, dict[Signal, None]] = {}
        self._dismissed = False

    @contextmanager
    def listen(self, task_id: str) -> Iterator[Signal]:
        """Hangs up a bell for a task and takes it down again."""
        signal = Signal(dismissed=self._dismissed)
        self._waiting.setdefault(task_id, {})[signal] = None
        try:
            yield signal
        finally:
            waiting = self._waiting[task_id]
            del waiting[signal]
            if not waiting:
                del self._waiting[task_id]

    def ring(self, record: TaskRecord, outcome: Outcome | None = None) -> None:
        """Wakes everybody who waits for news of a task."""
        for signal in self._waiting.get(record.spec.id, ()):
            signal.record = record
            signal.outcome = outcome
            signal.changed = True
            signal.event.set()

    def dismiss(self) -> None:
        """Ends the waits for tasks' ends, now and from now on: this process will not see them."""
        self._dismissed = True
        for waiting in self._waiting.values():
            for signal in waiting:
                signal.dismiss()
