"""Why a server may take a task, or may not: in words, for those who ask. Pure."""

from dataclasses import dataclass
from typing import Protocol

from inferry.server.fleet.breaker import Breaker
from inferry.server.fleet.line import Line
from inferry.server.fleet.record import Health
from inferry.server.fleet.rest import Rest
from inferry.server.fleet.routing import Rule, Standing, missing, rule_of


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

    @property
    def line(self) -> Line | None:
        """Of a worker: its stream."""


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


def verdict(server: Judged, route: str, now_ms: int) -> Verdict:
    """Puts into words whether a server may take a task of a route now."""
    rule, slots, until_ms = rule_of(server, route), server.record.max_concurrent, 0
    match rule:
        case Rule.NOT_CAPABLE:
            lacks = ", ".join(missing(server.record, route))
            text, remedy = f"it does not have: {lacks}", f"register it with: {lacks}"
        case Rule.DRAINING | Rule.OFFLINE:
            text, remedy = _out(server, rule)
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
        case Rule.ELIGIBLE | Rule.ELSEWHERE:
            free = slots - server.withheld - server.active
            text, remedy = f"{free} of its {counted(slots, 'slot')} free", ""
            if rule is Rule.ELSEWHERE:
                text = f"{text}; {_elsewhere(server)}"
        case _:
            text, remedy = _of_worker(server, rule)
    return Verdict(rule, text, remedy, until_ms)


def _out(server: Judged, rule: Rule) -> tuple[str, str]:
    """Puts into words what keeps a server from tasks until somebody does something about it."""
    line = server.line
    if rule is Rule.DRAINING:
        left = line is not None and line.leaving
        why, remedy = ("it said goodbye", "start it again") if left else ("it drains", "resume it")
        return f"{why}: it has {counted(server.active, 'task')} and gets no more", remedy
    if line is not None:
        text = "it has had no stream for longer than its lease"
        return text, "start the worker; see its log for why it cannot connect"
    text = f"{-server.health.streak} probes in a row failed: {server.last_error}"
    return text, "make its /health answer; it is probed again and again"


def _of_worker(server: Judged, rule: Rule) -> tuple[str, str]:
    """Puts into words what keeps a worker from tasks that no other server knows."""
    match rule:
        case Rule.LOADING:
            return "its models load", "wait; its log tells how far it is"
        case Rule.STALLED:
            text = "the loop that its handlers run on lags behind"
            return text, "run what blocks it on a thread or in a process"
        case Rule.RECONNECTING:
            return "its stream ended; what it has is kept for it", "it connects again by itself"
    line = server.line
    if line is not None and line.clogged:
        text = "more waits to be sent to it than may: it reads too slowly"
        return text, "a better connection, or smaller payloads"
    granted = 0 if line is None else line.granted
    text = f"it asked for {counted(granted, 'assignment')} on its stream, and got them"
    return text, "it asks for more when it can take more"


def _elsewhere(server: Judged) -> str:
    record = server.record
    if record.owner is None:
        return "no replica looks after it now: one is about to"
    if server.arriving:
        return "it changes hands: what it has is being looked up"
    return "another replica gives it its tasks"


def counted(number: int, what: str) -> str:
    """Says how many, in the singular or the plural."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _when(at_ms: int, now_ms: int) -> str:
    return f"in {max(1, -(-(at_ms - now_ms) // 1_000))} s"
