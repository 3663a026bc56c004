"""Who may take a task, and who should. Pure.

A *route* is what a task asks of a server: its type and its capabilities. Tasks of one route are
alike to every server. ``rule_of`` is the one place that says whether a server may take a task;
``verdict`` puts that into words. (Design section 6.)
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from inferry.server.fleet.line import Connection
from inferry.server.fleet.record import ServerRecord, ServerStatus
from inferry.server.task.route import capabilities_of, type_of


class Rule(IntEnum):
    """What keeps a server from taking a task; numbered as ``inferry.v1.ServerVerdict.Rule``.

    The first that holds decides, in the order in which ``hindrance`` looks; ``ELIGIBLE`` when none
    does.
    """

    ELIGIBLE = 1
    NOT_CAPABLE = 2
    DRAINING = 3
    OFFLINE = 4
    BREAKER_OPEN = 5
    RESTING = 6
    FULL = 7
    NO_CREDIT = 8
    LOADING = 9
    STALLED = 10
    RECONNECTING = 11
    ELSEWHERE = 12


#: Those of a server that is there: it takes tasks, or does as soon as it has room for another one.
REACHABLE = frozenset({Rule.ELIGIBLE, Rule.ELSEWHERE, Rule.FULL, Rule.NO_CREDIT, Rule.RESTING})


class Standing(Protocol):
    """What routing looks at; a ``fleet.Member`` has it, and a ``Candidate`` is a copy of it."""

    @property
    def record(self) -> ServerRecord:
        """Its registration."""

    @property
    def owned(self) -> bool:
        """Whether it is this replica that gives it tasks."""

    @property
    def arriving(self) -> bool:
        """Whether it is not known yet what it has from the replica that gave it tasks before."""

    @property
    def status(self) -> ServerStatus:
        """Whether it gets tasks."""

    @property
    def active(self) -> int:
        """Slots that are taken."""

    @property
    def queued(self) -> int:
        """Tasks that wait inside it, by its own word."""

    @property
    def withheld(self) -> int:
        """Slots that its breaker holds back: all when it is open, all but one on trial."""

    @property
    def doubts(self) -> int:
        """Counts what speaks against it: a bad probe, calls that could not connect."""

    @property
    def connection(self) -> Connection | None:
        """Of a worker: how it stands with its stream."""

    @property
    def credit(self) -> int | None:
        """Of a worker: assignments that it can get now."""


class Candidate(NamedTuple):
    """A server at one moment, for plans that go on from there."""

    record: ServerRecord
    status: ServerStatus
    active: int
    queued: int = 0
    withheld: int = 0
    doubts: int = 0
    connection: Connection | None = None
    credit: int | None = None
    owned: bool = True
    arriving: bool = False


#: What keeps a worker from tasks by how it stands with its stream.
_BY_CONNECTION: Mapping[Connection | None, Rule] = {
    Connection.LOADING: Rule.LOADING,
    Connection.STALLED: Rule.STALLED,
    Connection.RECONNECTING: Rule.RECONNECTING,
}

#: How good a choice a server is: its doubts, its load, its id.
Rank = tuple[int, float, str]
_Server = TypeVar("_Server", bound=Standing)


def missing(record: ServerRecord, route: str) -> list[str]:
    """Lists what a server lacks for a route; having no capabilities at all means any type."""
    task_type, needed = type_of(route), capabilities_of(route)
    has = record.capabilities
    lacks = [] if task_type in has or not has else [task_type]
    return lacks + [capability for capability in needed if capability not in has]


def serves(record: ServerRecord, route: str) -> bool:
    """Whether a server is capable of a route."""
    return not missing(record, route)


def rule_of(server: Standing, route: str) -> Rule:
    """Tells the rule that keeps a server from tasks of a route now."""
    return hindrance(server) if serves(server.record, route) else Rule.NOT_CAPABLE


def hindrance(server: Standing) -> Rule:
    """Tells the rule that keeps a server from any task now."""
    status = server.status
    if status is ServerStatus.DRAINING:
        return Rule.DRAINING
    if status is ServerStatus.OFFLINE or server.connection in _BY_CONNECTION:
        return _BY_CONNECTION.get(server.connection, Rule.OFFLINE)
    withheld = server.withheld
    full = server.active >= server.record.max_concurrent - withheld
    if full and withheld:
        return Rule.BREAKER_OPEN
    if status is ServerStatus.RESTING:
        return Rule.RESTING
    if full or server.credit == 0:
        return Rule.FULL if full else Rule.NO_CREDIT
    return Rule.ELIGIBLE if server.owned and not server.arriving else Rule.ELSEWHERE


def candidate(server: Standing) -> Candidate:
    """Copies how a server stands now."""
    return Candidate(
        server.record,
        server.status,
        server.active,
        server.queued,
        server.withheld,
        server.doubts,
        server.connection,
        server.credit,
        server.owned,
        server.arriving,
    )


def choose(capable: Iterable[_Server]) -> _Server | None:
    """Picks the server that should take a task now, of those that serve its route.

    The least loaded, those with doubts last; None if none may take it.
    """
    able = [server for server in capable if hindrance(server) is Rule.ELIGIBLE]
    return min(able, key=rank, default=None)


def rank(server: Standing) -> Rank:
    """Sorts servers, best first."""
    record = server.record
    load = (server.active + server.queued) / record.max_concurrent
    return server.doubts, load, record.id
