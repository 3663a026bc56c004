"""What a transaction has read and decided, before it is written."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from inferry.server.errors import PurgedError, TaskNotFoundError, UnavailableError
from inferry.server.store.postgres.hooks import Telling
from inferry.server.store.rows import Row
from inferry.server.task.record import Attempt, Event, Outcome, TaskRecord

_NOTHING = Outcome()

#: Tenant and name of a request.
KeyId = tuple[str, str]


class KeptKey(NamedTuple):
    """A row of names of requests."""

    tenant: str
    request_id: str
    digest: bytes
    task_id: str
    until_ms: int


@dataclass(slots=True, eq=False)
class Held:
    """A task whose row is locked, or is to be."""

    record: TaskRecord
    #: As its row has it; None while it has none.
    before: TaskRecord | None
    #: None while it has no row.
    number: int | None
    #: Of its last event.
    position: int
    #: As far as it was read.
    payload: bytes | None = None
    #: Whether its type was paused when it was read to be claimed.
    paused: bool = False


class Logging(NamedTuple):
    """An event to be written."""

    held: Held
    event: Event
    position: int


@dataclass(slots=True)
class Ended:
    """What is to be written of how a task ended."""

    held: Held
    outcome: Outcome = _NOTHING
    #: Whether what is stored goes first.
    cleared: bool = False

    def add(self, outcome: Outcome) -> None:
        """Adds to it; an empty outcome takes all away."""
        if outcome == _NOTHING:
            self.outcome, self.cleared = outcome, True
        else:
            pairs = zip(outcome, self.outcome, strict=True)
            self.outcome = Outcome(*(kept if new is None else new for new, kept in pairs))


@dataclass(slots=True)
class Draft:
    """Tasks and names as the operations so far leave them, and all that is to be written of that.

    Whoever decides finds here what was locked for it, and nothing else.
    """

    tasks: dict[str, Held] = field(default_factory=dict)
    #: Tasks that a claim may give away: those that nobody else is at.
    free: set[str] = field(default_factory=set)
    #: By each task that another replica has, those that may take its place: one line's are shared.
    next: dict[str, deque[str]] = field(default_factory=dict)
    #: Servers that are not this replica's, of those that are to get tasks.
    foreign: set[str] = field(default_factory=set)
    #: Tasks that a stranger keeps locked.
    barred: set[str] = field(default_factory=set)
    #: Ids of tasks that are gone, and whose they were.
    buried: dict[str, str] = field(default_factory=dict)
    #: Names of requests as rows have them, and as they are to be.
    stood: dict[KeyId, KeptKey | None] = field(default_factory=dict)
    keys: dict[KeyId, KeptKey | None] = field(default_factory=dict)
    events: list[Logging] = field(default_factory=list)
    attempts: list[tuple[Held, Attempt]] = field(default_factory=list)
    ended: dict[str, Ended] = field(default_factory=dict)
    #: What webhooks are told.
    telling: Telling = field(default_factory=Telling)
    #: The latest time of anything in it.
    latest_ms: int = 0

    def find(self, task_id: str, tenant: str | None) -> Held:
        """Finds a task.

        Raises:
            TaskNotFoundError: There is none, or it is another tenant's.
            PurgedError: Its retention is over.
            UnavailableError: A stranger keeps it locked.
        """
        if task_id in self.barred:
            raise UnavailableError("somebody keeps the task locked in the database; try again")
        held = self.tasks.get(task_id)
        if held is not None and tenant in {None, held.record.spec.tenant}:
            return held
        if task_id in self.buried and tenant in {None, self.buried[task_id]}:
            raise PurgedError(task_id)
        raise TaskNotFoundError(task_id)

    def is_foreign(self, claimed: TaskRecord) -> bool:
        """Whether the server of a task's attempt is not this replica's."""
        return claimed.server_id in self.foreign

    def changed(self) -> Iterator[tuple[Held, TaskRecord]]:
        """Goes through tasks that have rows to be changed, each with what its row has."""
        for held in self.tasks.values():
            if held.before is not None and held.record is not held.before:
                yield held, held.before

    def added(self) -> list[Held]:
        """Lists tasks that are to get rows, in the order of their creation."""
        return [held for held in self.tasks.values() if held.before is None]

    def new_keys(self) -> list[Row]:
        """Lists names of requests whose rows are to be written."""
        return [
            kept
            for key, kept in self.keys.items()
            if kept is not None and kept != self.stood.get(key)
        ]

    def idle_keys(self) -> list[KeyId]:
        """Lists names of requests that were taken for nothing."""
        return [
            key for key, stood in self.stood.items() if stood is not None and self.keys[key] is None
        ]
