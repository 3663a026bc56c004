"""Who may take a task, and who should. Pure.

A *route* is what a task asks of a server: its type and its capabilities. Tasks of one route are
alike to every server. ``rule_of`` is the one place that says whether a server may take a task;
``verdict`` puts that into words. (Design section 6.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from inferry.server.fleet.breaker import Breaker
from inferry.server.fleet.record import Health, ServerRecord, ServerStatus
from inferry.server.fleet.rest import Rest
from inferry.server.task.route import capabilities_of, type_of


class Rule(IntEnum):
    """What keeps a server from taking a task; numbered as ``inferry.v1.ServerVerdict.Rule``.

    The first that holds decides, in the order of their numbers; ``ELIGIBLE`` when none does.
    """

    ELIGIBLE = 1
    NOT_CAPABLE = 2
    DRAINING = 3
    OFFLINE = 4
    BREAKER_OPEN = 5
    RESTING = 6
    FULL = 7


class Standing(Protocol):
    """What routing looks at; a ``fleet.Member`` has it, and a ``Candidate`` is a copy of it."""

    @property
    def record(self) -> ServerRecord:
        """Its registration."""

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


class Candidate(NamedTuple):
    """A server at one moment, for plans that go on from there."""

    record: ServerRecord
    status: ServerStatus
    active: int
    queued: int = 0
    withheld: int = 0
    doubts: int = 0


class Judged(Standing, Protocol):
    """What a verdict speaks of besides."""

    @property
    def health(self) -> Health:
        """What its probes told."""

    @property
    def breaker(self) -> Breaker:
        """What its calls told."""

    @property
    def rest(self) -> Rest:
        """How long it wants to be left alone."""

    @property
    def last_error(self) -> str:
        """Why its last probe failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a server may take a task now, for a program and for a person."""

    rule: Rule
    #: The rule in a sentence, with its numbers.
    text: str
    #: What would change it; empty when nothing needs to.
    remedy: str = ""
    #: When it will be tried again by itself; 0 when nobody can tell.
    until_ms: int = 0


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
    if status is ServerStatus.OFFLINE:
        return Rule.OFFLINE
    withheld = server.withheld
    full = server.active >= server.record.max_concurrent - withheld
    if full and withheld:
        return Rule.BREAKER_OPEN
    if status is ServerStatus.RESTING:
        return Rule.RESTING
    return Rule.FULL if full else Rule.ELIGIBLE


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


def verdict(server: Judged, route: str, now_ms: int) -> Verdict:
    """Puts into words whether a server may take a task of a route now."""
    rule, slots, until_ms = rule_of(server, route), server.record.max_concurrent, 0
    match rule:
        case Rule.NOT_CAPABLE:
            lacks = ", ".join(missing(server.record, route))
            text, remedy = f"it does not have: {lacks}", f"register it with: {lacks}"
        case Rule.DRAINING:
            text = f"it drains: it has {counted(server.active, 'task')} and gets no more"
            remedy = "resume it"
        case Rule.OFFLINE:
            text = f"{-server.health.streak} probes in a row failed: {server.last_error}"
            remedy = "make its /health answer; it is probed again and again"
        case Rule.BREAKER_OPEN if server.breaker.until_ms:
            until_ms = server.breaker.until_ms
            text = f"{server.breaker.reason}; it is tried again {_when(until_ms, now_ms)}"
            remedy = "a good probe has it tried earlier"
        case Rule.BREAKER_OPEN:
            text = f"{server.breaker.reason}; one task is on trial now"
            remedy = "it gets more when the trial succeeds"
        case Rule.RESTING:
            until_ms = server.rest.until_ms
            text = f"it asked to be left alone; it is tried again {_when(until_ms, now_ms)}"
            remedy = "more servers; it is tried at once when it registers or is resumed"
        case Rule.FULL:
            text = f"all {slots} slots are taken" if slots > 1 else "its only slot is taken"
            remedy = "more slots, or more servers"
        case Rule.ELIGIBLE:
            free = slots - server.withheld - server.active
            text, remedy = f"{free} of its {counted(slots, 'slot')} free", ""
    return Verdict(rule, text, remedy, until_ms)


def counted(number: int, what: str) -> str:
    """Says how many, in the singular or the plural."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _when(at_ms: int, now_ms: int) -> str:
    return f"in {max(1, -(-(at_ms - now_ms) // 1_000))} s"
