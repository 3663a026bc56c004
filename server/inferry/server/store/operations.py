"""What a commit does: the operations that change the store, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferry.server.access.codes import KeptCode
from inferry.server.errors import InferryError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store.codes import CodeOperation
from inferry.server.store.counting import AddFigures
from inferry.server.store.webhooks import HookOperation
from inferry.server.task.hook import Claim, DeliveryState, Hook
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Event, Outcome, TaskRecord
from inferry.server.task.steps import Transition


class Epoch(NamedTuple):
    """One start of a gateway on a store."""

    #: 1 and up, in the order of the starts.
    number: int
    #: 63 random bits: another store has none of them.
    tag: int
    #: Whether it logs nothing any more.
    ended: bool = False


class Logged(NamedTuple):
    """A committed event at its place among all of them.

    Positions are ``epoch << POSITION_BITS | n``: n counts the events of one start of a gateway from
    1 on, in the order of its commits, without holes.
    """

    position: int
    event: Event
    #: The task as the event left it or, of an event that was read again, as it is now.
    record: TaskRecord
    #: What the event left stored of the task's end; None when that has to be read.
    outcome: Outcome | None = None
    #: Position of the task's event before it, if another epoch logged that and this one is new.
    after: int = 0


class RequestKey(NamedTuple):
    """What a caller named its request to create a task."""

    request_id: str
    #: Of the request without its name.
    digest: bytes
    #: How long the name is remembered.
    until_ms: int


#: Tells why one more task of a tenant may not wait; gets the tenant, how many wait, delayed ones
#: included, and how many of those are the tenant's. Pure.
RoomFor = Callable[[str, int, int], InferryError | None]


class Insert(NamedTuple):
    """Adds a task with its payload and its first events. Result: the record as it was added.

    With a ``key`` that this tenant used before, nothing is added: the result is ``Replayed``, a
    ``RequestReusedError`` if it stood for something else, a ``PurgedError`` if its task is gone.

    With ``claimed`` the task is added with its first attempt, as that leaves it, unless its type is
    paused, or its server is another replica's. One that waits is added if ``room`` has nothing
    against it: what counts is what waits as of all operations before this one.
    """

    #: The task as it waits.
    record: TaskRecord
    #: A JSON object.
    payload: bytes
    events: tuple[Event, ...]
    key: RequestKey | None = None
    #: None for any number of tasks.
    room: RoomFor | None = None
    #: What a claim makes of ``record``.
    claimed: Transition | None = None
    #: The task's own webhook.
    hook: Hook | None = None


class Change(NamedTuple):
    """Changes one task as ``decide`` says. Result: the transition, or the record if it is None.

    ``decide`` gets the record as of all operations before this one. It is pure and may raise an
    ``InferryError``, which becomes the result; the rest of the batch goes on. A task that is not
    there, or another tenant's, is a ``TaskNotFoundError``, one whose retention is over a
    ``PurgedError``. With ``room`` a task that begins to wait by this is refused as by ``Insert``.
    """

    task_id: str
    decide: Callable[[TaskRecord], Transition | None]
    #: Whose it must be; None for anybody's.
    tenant: str | None = None
    #: None for any number of tasks.
    room: RoomFor | None = None


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Gives waiting tasks away. Result: a list of ``Claimed``, in the order of ``task_ids``.

    ``decide`` applies to each of the named tasks that still waits, whose time has come and whose
    type is not paused. The others are left out: somebody else was quicker. Where replicas share the
    store, the next one of its line that is free takes the place of a task that another replica has,
    and the server has to be this one's: else it is a ``NotOwnerError``.
    """

    task_ids: Sequence[str]
    now_ms: int
    decide: Callable[[TaskRecord], Transition]
    #: Who gets them.
    server_id: str = ""


@dataclass(frozen=True, slots=True)
class PutServer:
    """Adds a server, or renews the one of the same tenant, url and name.

    Where replicas share the store, a new one is this replica's, and so is a worker: it dialled it.

    Result: the record as stored. One that is renewed keeps its id, when it first registered, and
    whether it drains.
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
class EndRetention:
    """Lets the retention of final tasks be over: a purge drops them before others.

    Result: how many of those that are named are final, and nothing has happened to them since.
    """

    #: Tasks as they were seen: the id, and the number of its last event.
    seen: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Postpone:
    """Puts off to ``until_ms`` what would end up to ``limit`` open tasks before. Result: how many.

    ``deadline_ms`` is moved, and the deadlines of queue, attempt and total as far as they are
    nearer than that; so is that of the queue of all that runs: its server may give it back.
    """

    until_ms: int
    limit: int


Operation = (
    Insert
    | Change
    | ClaimTasks
    | PutServer
    | DrainServer
    | DropServer
    | PauseType
    | ResumeType
    | Purge
    | EndRetention
    | Postpone
    | AddFigures
    | CodeOperation
    | HookOperation
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
    TaskRecord
    | Replayed
    | Transition
    | list[Claimed]
    | ServerRecord
    | KeptCode
    | Hook
    | tuple[Claim, ...]
    | DeliveryState
    | int
    | InferryError
    | None
)
