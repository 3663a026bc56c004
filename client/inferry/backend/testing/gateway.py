"""What the gateways of tests have in common: they send attempts, and take what is said of them."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from typing import Any

import orjson

from inferry.backend.attempt import FINAL, Assignment, AttemptKey
from inferry.backend.testing.outcome import Outcome
from inferry.v1.task_pb2 import TaskUpdate


class Sent:
    """An attempt that a gateway sent.

    Args:
        assignment: What was sent.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        #: What has been said of it so far.
        self.outcome = Outcome()
        #: Every report, in the order that they came in.
        self.reports: list[TaskUpdate] = []
        #: Set with its first progress.
        self.under_way = asyncio.Event()
        #: Set with its last report.
        self.ended = asyncio.Event()
        #: Set when the backend has said that its work has stopped.
        self.stopped = asyncio.Event()

    @property
    def key(self) -> AttemptKey:
        """Names the attempt."""
        return self.assignment.key

    def note(self, update: TaskUpdate) -> None:
        """Takes a report in."""
        self.reports.append(update)
        self.outcome.note(update)
        self.under_way.set()
        if update.status in FINAL:
            self.ended.set()

    async def end(self, within: float = 30.0) -> Outcome:
        """Waits for its end.

        Raises:
            TimeoutError: It takes longer, in seconds.
        """
        async with asyncio.timeout(within):
            await self.ended.wait()
        return self.outcome

    async def until_under_way(self, within: float = 30.0) -> None:
        """Waits for its first report.

        Raises:
            TimeoutError: It takes longer, in seconds.
        """
        async with asyncio.timeout(within):
            await self.under_way.wait()

    async def until_stopped(self, within: float = 30.0) -> None:
        """Waits until its work has stopped.

        Raises:
            TimeoutError: It takes longer, in seconds.
        """
        async with asyncio.timeout(within):
            await self.stopped.wait()


class Gateway(ABC):
    """A gateway of tests, whichever way it has to its backend."""

    def __init__(self) -> None:
        #: Attempts that were sent.
        self.sent: dict[AttemptKey, Sent] = {}
        self._numbers = itertools.count(1)

    async def send(
        self,
        task_type: str,
        payload: Any,
        *,
        task_id: str = "",
        attempt: int = 1,
        timeout: float = 30.0,  # noqa: ASYNC109 - the task's, not the caller's
        traceparent: str = "",
    ) -> Sent:
        """Sends an attempt; returns when the backend has taken it.

        Args:
            task_type: What kind of work.
            payload: Any value of JSON.
            task_id: Default: a new one.
            attempt: Its number.
            timeout: How long it may run, in seconds.
            traceparent: The trace that it belongs to.
        """
        task_id = task_id or f"task_{next(self._numbers)}"
        text = orjson.dumps(payload)
        assignment = Assignment(task_id, attempt, task_type, text, timeout, traceparent=traceparent)
        sent = self.sent.setdefault(assignment.key, Sent(assignment))
        await self.begin(sent)
        return sent

    @abstractmethod
    async def begin(self, sent: Sent) -> None:
        """Sends an attempt for the first time, when the backend takes more."""

    @abstractmethod
    async def send_again(self, sent: Sent) -> None:
        """Sends an attempt once more, as if nobody had heard that it was taken."""

    @abstractmethod
    async def cancel(self, sent: Sent) -> None:
        """Tells the backend to stop an attempt; see ``Sent.until_stopped``."""
