"""An attempt whose slot is held: where it runs, how long it may, and how often it speaks."""

import asyncio
from collections.abc import Callable

from inferry.backend.attempt import Assignment
from inferry.backend.context import Latest, Said
from inferry.backend.executors import Executor, Job
from inferry.backend.states import State
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.errors import writable
from inferry.wire.limits import TEXT_CHARS


class Held:
    """One attempt.

    Args:
        assignment: The work.
        executor: Where it runs.
        address: Where its reports go; see ``Report.address``.
        loop: The transport's.
    """

    def __init__(
        self,
        assignment: Assignment,
        executor: Executor,
        address: str | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.assignment = assignment
        self.executor = executor
        self.address = address
        self.state = State.RUNNING
        #: Whether its end was told before its work stopped.
        self.told_end = False
        #: Set when its work has stopped.
        self.gone = asyncio.Event()
        #: Set by whoever starts it.
        self.job: Job
        self._loop = loop
        self._expires_at = loop.time() + assignment.timeout_s
        self._expiry: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")
        self._telling: asyncio.TimerHandle | None = None

    @property
    def latest(self) -> Latest:
        """What its work says."""
        return self.job.latest

    def watch(self, expire: Callable[[], None]) -> None:
        """Has something called when its time is over, however often that is put off."""
        if self._loop.time() >= self._expires_at:
            expire()
        else:
            self._expiry = self._loop.call_at(self._expires_at, self.watch, expire)

    def speak(self, interval_s: float, tell: Callable[[TaskUpdate], None]) -> None:
        """Tells what its work says: at once, or when the last word is old enough."""
        said = self.latest.look()
        if said is None or self._telling is not None:
            return
        wait_s = self._told_at + interval_s - self._loop.time()
        if wait_s <= 0 or said.extend_s:
            self.speak_now(tell)
        else:
            self._telling = self._loop.call_later(wait_s, self._speak_late, tell)

    def speak_now(self, tell: Callable[[TaskUpdate], None]) -> None:
        """Tells what its work has said and nobody was told."""
        said = self.latest.take()
        if said is not None:
            now = self._told_at = self._loop.time()
            self._expires_at = max(self._expires_at, now + said.extend_s)
            tell(_progress(said))

    def rest(self) -> None:
        """Stops its clocks."""
        for timer in (self._expiry, self._telling):
            if timer is not None:
                timer.cancel()

    def _speak_late(self, tell: Callable[[TaskUpdate], None]) -> None:
        self._telling = None
        self.speak_now(tell)


def _progress(said: Said) -> TaskUpdate:
    update = TaskUpdate(status=Task.PROCESSING, extend_ms=round(1_000 * said.extend_s))
    if said.progress is not None:
        update.progress = said.progress
    if said.message is not None:
        update.message = writable(said.message)[:TEXT_CHARS]
    return update
