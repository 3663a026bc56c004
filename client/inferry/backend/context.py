"""What a handler knows of its task, and what it can say of it."""

import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

from inferry.backend.attempt import Assignment
from inferry.backend.errors import Cancelled
from inferry.wire.limits import EXTEND_MS

_log = logging.getLogger("inferry.backend.task")


@dataclass(slots=True)
class Said:
    """What a handler said of its work and nobody has taken yet."""

    progress: float | None = None
    message: str | None = None
    #: How long the attempt is to run from now, at least; 0 leaves it.
    extend_s: float = 0.0


class Latest:
    """Keeps the last word of a handler until it is taken: a handler that talks much costs little.

    Args:
        wake: Called, in the handler's thread, when there is something after there was nothing.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = Lock()
        self._said: Said | None = None

    def say(self, said: Said) -> None:
        """Puts a word on top of what is there."""
        with self._lock:
            before, self._said = self._said, said
            if before is not None:
                if said.progress is None:
                    said.progress = before.progress
                if said.message is None:
                    said.message = before.message
                said.extend_s = max(said.extend_s, before.extend_s)
        if before is None:
            self._wake()

    def look(self) -> Said | None:
        """Gives what is there, and leaves it."""
        return self._said

    def take(self) -> Said | None:
        """Takes what is there."""
        with self._lock:
            said, self._said = self._said, None
            return said


class TaskContext:
    """A task as its handler sees it.

    Args:
        assignment: What there is to do.
        latest: Takes what the handler says.
        cancelled: Set when nobody wants the work any more.
        raises: Whether ``progress`` and ``extend`` raise then; a coroutine is told by its loop.
    """

    def __init__(
        self, assignment: Assignment, latest: Latest, cancelled: Event, *, raises: bool
    ) -> None:
        #: The task.
        self.id = assignment.task_id
        #: The attempt's number, from 1.
        self.attempt = assignment.attempt
        #: What kind of work.
        self.type = assignment.type
        #: The creator's own words about the task.
        self.labels: Mapping[str, str] = assignment.labels
        #: Whose the task is; empty where the gateway does not say.
        self.tenant = assignment.tenant
        #: The trace that the attempt belongs to, as W3C's headers of these names have it; empty
        #: without one. Whatever the handler calls can go on with it.
        self.traceparent = assignment.traceparent
        self.tracestate = assignment.tracestate
        #: How long the attempt may run in all, in seconds, as it was when it began.
        self.timeout = assignment.timeout_s
        #: The payload as the JSON text that was given.
        self.payload_json = assignment.payload
        #: Logs with the task's id and attempt.
        self.log = _TaskLog(_log, {"task": self.id, "attempt": self.attempt})
        self._latest = latest
        self._cancelled = cancelled
        self._raises = raises

    @property
    def cancelled(self) -> bool:
        """True when nobody wants the work any more: it was cancelled, or its time is over."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raises ``Cancelled`` when nobody wants the work any more."""
        if self._cancelled.is_set():
            raise Cancelled

    def progress(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Says how far the work is; a coroutine awaits it, a function just calls it.

        At most two a second travel, and the last one always. It never waits for the gateway.

        Args:
            percent: 0 to 100.
            message: One line for a person; None leaves the last one.

        Raises:
            Cancelled: Nobody wants the work any more; in a coroutine ``CancelledError`` says so.
        """
        return self._say(Said(float(percent), message))

    def extend(self, seconds: float) -> Awaitable[None]:
        """Asks that the attempt may run for at least so long from now, within the task's total.

        Raises:
            Cancelled: As ``progress``.
            ValueError: It is no time from 0 to a day.
        """
        if not 0 <= seconds <= EXTEND_MS / 1_000:
            raise ValueError(f"extend: expected 0 to {EXTEND_MS // 1_000:,} seconds, got {seconds}")
        return self._say(Said(extend_s=seconds))

    def _say(self, said: Said) -> Awaitable[None]:
        if self._raises:
            self.check()
        self._latest.say(said)
        return _SAID


class _AlreadyDone:
    """What was done before anybody awaited it; awaiting it lets others run, and a cancel in."""

    def __await__(self) -> Generator[None, None, None]:
        yield


_SAID = _AlreadyDone()


class _TaskLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the task before each line."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Puts task and attempt before a message, and among the record's fields."""
        known = self.extra or {}
        return f"{known['task']}/{known['attempt']} {msg}", {**kwargs, "extra": known}
