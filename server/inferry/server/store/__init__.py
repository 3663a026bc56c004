"""The store: what is on disk, behind one door for writes (design section 7).

Every promise here holds for every implementation; ``tests/server/store/conformance.py`` checks
them all. Reads see every commit that was acknowledged before they began.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inferry.server.errors import InferryError
from inferry.server.fleet.record import ServerRecord
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, Event, Outcome, Status, TaskRecord
from inferry.server.task.steps import Transition

#: Events kept a task; older ones are dropped as new ones come.
EVENTS_KEPT = 1_000


class RequestKey(NamedTuple):
    """What a caller named its request to create a task."""

    request_id: str
    #: Of the request without its name.
    digest: bytes
    #: How long the name is remembered.
    until_ms: int


@dataclass(frozen=True, slots=True)
class Insert:
    """Adds a task with its payload and its first events. Result: the record.

    With a ``key`` that this tenant used before, nothing is added: the result is ``Replayed``, a
    ``RequestReusedError`` if it stood for something else, a ``PurgedError`` if its task is gone.
    """

    record: TaskRecord
    #: A JSON object.
    payload: bytes
    events: tuple[Event, ...]
    key: RequestKey | None = None
    #: Refuses the task unless its key was used before.
    refusal: InferryError | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Changes one task as ``decide`` says. Result: the transition, or the record if it is None.

    ``decide`` gets the record as of all operations before this one. It is pure and may raise an
    ``InferryError``, which becomes the result; the rest of the batch goes on. A task that is not
    there, or another tenant's, is a ``TaskNotFoundError``, one whose retention is over a
    ``PurgedError``.
    """

    task_id: str
    decide: Callable[[TaskRecord], Transition | None]
    #: Whose it must be; None for anybody's.
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Gives waiting tasks away. Result: a list of ``Claimed``, in the order of ``task_ids``.

    ``decide`` applies to each of the named tasks that still waits and whose time has come. The
    others are left out: somebody else was quicker.
    """

    task_ids: Sequence[str]
    now_ms: int
    decide: Callable[[TaskRecord], Transition]


@dataclass(frozen=True, slots=True)
class PutServer:
    """Adds a server, or renews the one of the same url and name. Result: the record as stored.

    One that is renewed keeps its id, when it first registered, and whether it drains.
    """

    record: ServerRecord


@dataclass(frozen=True, slots=True)
class DrainServer:
    """Keeps whether a server is to get no more tasks. Result: the record as stored.

    A server that is not there is a ``NotFoundError``.
    """

    server_id: str
    draining: bool


@dataclass(frozen=True, slots=True)
class DropServer:
    """Removes a server, if there is one. Result: None."""

    server_id: str


@dataclass(frozen=True, slots=True)
class PauseType:
    """Keeps that a type is paused, in place of what was said before. Result: None."""

    paused: PausedType


@dataclass(frozen=True, slots=True)
class ResumeType:
    """Forgets that a type is paused; it is no error if it is not. Result: None."""

    type: str


@dataclass(frozen=True, slots=True)
class Purge:
    """Drops up to ``limit`` final tasks whose retention is over. Result: how many.

    Their ids stay for ``tombstone_ms`` more, so that look-ups can say that they are gone.
    """

    now_ms: int
    limit: int
    tombstone_ms: int


@dataclass(frozen=True, slots=True)
class Postpone:
    """Puts off to ``until_ms`` what would end open tasks before. Result: how many tasks.

    ``deadline_ms`` is moved, and the deadlines of queue, attempt and total as far as they are
    nearer than that.
    """

    until_ms: int


Operation = (
    Insert
    | Change
    | Claim
    | PutServer
    | DrainServer
    | DropServer
    | PauseType
    | ResumeType
    | Purge
    | Postpone
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that a claim gave away."""

    transition: Transition
    payload: bytes


class Replayed(NamedTuple):
    """The task that an earlier request with the same key created, as it is now."""

    record: TaskRecord


Result = (
    TaskRecord | Replayed | Transition | list[Claimed] | ServerRecord | int | InferryError | None
)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None means any."""

    tenant: str | None = None
    status: Status | None = None
    type: str | None = None
    server_id: str | None = None


class Store(Protocol):
    """A durable home for tasks, events and servers."""

    #: Set while commits are refused because the disk failed; reads go on. ``recover`` ends it.
    failed: asyncio.Event

    async def open(self) -> None:
        """Makes ready: locks, migrates, connects.

        Raises:
            StoreError: Somebody else has it open, or it is newer than this code.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything. Commits that wait are finished first."""
        ...

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        """Does all operations in one transaction and returns their results in order.

        One that cannot be done, because its decision breaks or the row would be impossible, is an
        ``InferryError`` in its place and leaves nothing; the others are done without it.

        When this returns, all of it is on disk. When it raises, none of it is: no read shows it,
        and no later commit builds on it. Only a restart right after the disk failed may find it all
        the same, and then all of it.

        Raises:
            StoreError: The transaction failed.
        """
        ...

    async def recover(self) -> None:
        """Makes a failed store take commits again, once the disk can be trusted.

        From here on not even a restart finds anything of the commits that failed.

        Raises:
            StoreError: Not yet.
        """
        ...

    async def task(self, task_id: str, tenant: str | None = None) -> TaskRecord | None:
        """Reads a task; None if there is none, or it is not the tenant's that is named.

        One look-up, alike for both: how long it takes tells nothing of other tenants' tasks.

        Raises:
            PurgedError: It was purged not long ago.
        """
        ...

    async def payload(self, task_id: str) -> bytes:
        """Reads a task's payload, a JSON object.

        Raises:
            NotFoundError: There is no such task, or none any more.
        """
        ...

    async def outcome(self, task_id: str) -> Outcome:
        """Reads what a task ended with; empty if it has not ended or is not there."""
        ...

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[Event]:
        """Reads a task's events after a sequence number, oldest first."""
        ...

    async def attempts(self, task_id: str) -> list[Attempt]:
        """Reads a task's ended attempts, oldest first."""
        ...

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """Lists tasks, newest first, each with its place; ``before`` continues after a place."""
        ...

    async def servers(self) -> list[ServerRecord]:
        """Reads all servers."""
        ...

    async def waiting(self) -> list[TaskRecord]:
        """Reads all tasks that wait, delayed ones included."""
        ...

    async def stopped(self, since_ms: int) -> list[tuple[str, Attempt]]:
        """Reads the attempts that timed out or were cancelled after a time, with their tasks' ids.

        Those are left out whose server said so itself, as far as that is known.
        """
        ...

    async def paused_types(self) -> list[PausedType]:
        """Reads the paused types."""
        ...

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """Lists ids of tasks whose ``deadline_ms`` is over, longest first."""
        ...

    async def first_deadline_ms(self) -> int | None:
        """Tells when the first ``deadline_ms`` is over; None when no task is open."""
        ...

    async def latest_ms(self) -> int:
        """Tells the latest time of a change of a task or of a purge, to a second; 0 before any."""
        ...

    async def held(self) -> list[TaskRecord]:
        """Reads all tasks with an open attempt."""
        ...


class StoreError(Exception):
    """The store cannot do what was asked; the message says why."""
