"""Where handlers run: the contract, and a file for each place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from inferry.backend.attempt import Assignment, AttemptKey
from inferry.backend.context import Latest, TaskContext
from inferry.backend.handler import Handler
from inferry.v1.task_pb2 import TaskUpdate


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt, as an executor gets it."""

    assignment: Assignment
    handler: Handler
    #: Takes what the handler says.
    latest: Latest
    #: Bytes that the result may have.
    result_limit: int
    #: Called once, from any thread, when the work has stopped: with its last report, or None if it
    #: stopped because it was cancelled.
    done: Callable[[TaskUpdate | None], None]
    #: Set when nobody wants the work any more.
    cancelled: Event = field(default_factory=Event)

    @property
    def key(self) -> AttemptKey:
        """Names the attempt."""
        return self.assignment.key

    def context(self, *, raises: bool) -> TaskContext:
        """Makes what the handler sees of its task."""
        return TaskContext(self.assignment, self.latest, self.cancelled, raises=raises)


class Executor(Protocol):
    """Runs jobs; all of its methods are called on the transport's loop."""

    @property
    def missing(self) -> int:
        """Slots that nothing could work in just now, such as those of processes that start."""

    async def start(self) -> None:
        """Gets ready to work.

        Raises:
            SetupError: It cannot.
        """

    def run(self, job: Job) -> None:
        """Starts a job; never waits."""

    def cancel(self, key: AttemptKey) -> None:
        """Stops a job, if it still runs; its ``done`` says when it has stopped."""

    async def close(self) -> None:
        """Ends; what still runs is left behind or killed."""
