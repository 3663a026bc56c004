"""The store: what is on disk, behind one door for writes (design section 7).

Every promise here holds for every implementation; ``tests/server/store/conformance.py`` checks
them all. Reads see every commit that was acknowledged before they began.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inferry.server.fleet.record import ServerRecord
from inferry.server.queue.fair_queue import LineId, Waiting
from inferry.server.queue.flow import Key
from inferry.server.store.figures import Figures
from inferry.server.store.operations import Epoch, Logged, Operation, Result
from inferry.server.store.shared import Shared
from inferry.server.store.webhooks import HookReads
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, Event, Outcome, Status, TaskRecord

#: Events kept a task; older ones are dropped as new ones come.
EVENTS_KEPT = 1_000
#: Starts of the gateway that are kept; a cursor of one before means nothing any more.
EPOCHS_KEPT = 1_000
#: What of a position counts within its epoch.
POSITION_BITS = 40

#: How much of the log was seen: of each epoch, by its number, so many events. One that is not named
#: was seen whole if a higher one is named, and not at all if none is.
Vector = Mapping[int, int]

#: Hears what a commit logged, in the order of the positions.
Listener = Callable[[Sequence[Logged]], object]


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None means any."""

    tenant: str | None = None
    status: Status | None = None
    type: str | None = None
    server_id: str | None = None
    #: What it ended with, for a program; not empty.
    code: str | None = None
    #: Pairs of key and value: a task has to have all of them.
    labels: tuple[tuple[str, str], ...] = ()


class LineRead(NamedTuple):
    """What is to be read of a line of waiting tasks."""

    line: LineId
    #: Where it is to begin; None for the beginning of the line.
    first: Key | None
    #: Tasks at most.
    limit: int


class Store(Figures, HookReads, Protocol):
    """A durable home for tasks, events and servers."""

    #: Is told what each commit logged: once it is on disk, and before ``commit`` returns.
    listener: Listener
    #: This start of the gateway; once open.
    epoch: Epoch

    #: Set when another gateway may have logged something. It need not be: who wants to know reads
    #: the log now and then anyway. Whoever reads clears it before.
    news: asyncio.Event

    #: Set while commits are refused because the disk failed; reads go on. ``recover`` ends it.
    failed: asyncio.Event

    @property
    def shared(self) -> Shared | None:
        """The replicas that work on it; None if one gateway has it alone."""

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

    async def logged(self, after: Vector, limit: int) -> list[Logged] | None:
        """Reads events of all tasks that are not in a vector; None if not all are still kept.

        Each epoch's come in order and without a hole, a task's too, whoever logged them: no event
        before its cause. So each page can be added to the vector, and the next one follows on it.
        """
        ...

    async def heads(self) -> Vector:
        """Tells how much there is: every event that was logged, also if it was dropped since."""
        ...

    async def epochs(self) -> list[Epoch]:
        """Reads the starts that left any event or still may, oldest first.

        ``EPOCHS_KEPT`` at most, and every one that is older than one whose event can be read. This
        start may be missing as long as it has left none.
        """
        ...

    async def attempts(self, task_id: str) -> list[Attempt]:
        """Reads a task's ended attempts, oldest first."""
        ...

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """Lists tasks, newest first, each with its number; ``before`` goes on below a number."""
        ...

    async def count(self, wanted: TaskFilter, limit: int) -> int:
        """Counts the tasks that ``tasks`` would list, up to a limit."""
        ...

    async def servers(self) -> list[ServerRecord]:
        """Reads all servers."""
        ...

    async def waiting_counts(self) -> dict[tuple[str, str], int]:
        """Counts the tasks that wait, delayed ones included, by tenant and type."""
        ...

    async def delayed_counts(self, now_ms: int) -> dict[str, int]:
        """Counts the tasks that wait and whose time has not come, by type."""
        ...

    async def waiting_routes(self, after: str, limit: int) -> list[str]:
        """Lists the routes of which tasks wait, in their order after one; "" begins."""
        ...

    async def waiting_lines(
        self, route: str, after: tuple[str, int] | None, limit: int
    ) -> list[tuple[str, int]]:
        """Lists the lines of a route in which tasks wait, each by its tenant and priority.

        They come in the order of these, after one; None begins. However many tasks wait in a line,
        it costs one step.
        """
        ...

    async def waiting_tasks(self, reads: Sequence[LineRead]) -> list[list[Waiting]]:
        """Reads tasks of lines, all at once; those of each line in their order."""
        ...

    async def stopped(self, since_ms: int) -> list[tuple[str, Attempt]]:
        """Reads the attempts that timed out or were cancelled after a time, with their tasks' ids.

        Those are left out whose server said so itself, as far as that is known.
        """
        ...

    async def paused_types(self) -> list[PausedType]:
        """Reads the paused types."""
        ...

    async def has_code(self, hash_: bytes) -> bool:
        """Tells whether a one-time code with this hash is kept."""
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

    async def running(self) -> list[TaskRecord]:
        """Reads all tasks with an open attempt."""
        ...

    async def running_counts(self) -> dict[str, int]:
        """Counts them by type."""
        ...

    async def size_bytes(self) -> int:
        """Tells how much room all of it takes, nearly."""
        ...


class StoreError(Exception):
    """The store cannot do what was asked; the message says why."""
