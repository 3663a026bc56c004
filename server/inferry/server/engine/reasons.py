"""Why a task runs where it runs, or why it does not run and what would change that. Pure.

The servers' part is ``routing.rule_of``, which routing itself decides by; here is the task's part.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

from inferry.server.engine.signals import Place
from inferry.server.fleet.routing import Rule
from inferry.server.fleet.verdict import counted
from inferry.server.task.record import Status, TaskRecord


class Reason(IntEnum):
    """What decides; numbered as ``inferry.v1.ExplainTaskResponse.Reason``."""

    ENDED = 1
    RUNNING = 2
    DELAYED = 3
    PAUSED = 4
    NO_SERVER = 5
    NO_FREE_SERVER = 6
    BEHIND_OTHERS = 7
    NEXT = 8


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason, for a program and for a person."""

    reason: Reason
    text: str
    #: What would change it; empty when nothing needs to.
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a task's fate depends on besides itself."""

    now_ms: int
    #: How many servers there are of which each rule decides.
    rules: Counter[Rule]
    #: Why its type is paused; None when it is not.
    pause_reason: str | None
    #: Where it stands in the queue; None when it does not wait for its turn.
    place: Place | None


def explain(record: TaskRecord, around: Surroundings) -> Explanation:
    """Tells what decides about a task now."""
    if record.status.final:
        return _ended(record)
    if record.running:
        return _running(record, around.now_ms)
    if record.not_before_ms > around.now_ms:
        return _delayed(record, around.now_ms)
    if around.pause_reason is not None:
        return paused(record.spec.type, around.pause_reason)
    return _queued(record, around)


def _ended(record: TaskRecord) -> Explanation:
    why = f": {record.error}" if record.error else ""
    remedy = "" if record.status is Status.COMPLETED else "retry it"
    return Explanation(Reason.ENDED, f"it ended as {record.status.name}{why}", remedy)


def _running(record: TaskRecord, now_ms: int) -> Explanation:
    ran, left = now_ms - record.started_ms, record.deadline_ms - now_ms
    text = (
        f"server {record.server_id} has had it for {_seconds(ran)} (attempt {record.attempt}); "
        f"its time ends in {_seconds(left)}"
    )
    return Explanation(Reason.RUNNING, text)


def _delayed(record: TaskRecord, now_ms: int) -> Explanation:
    cause = "its creator asked for it"
    if record.attempt:
        cause = f"it backs off after attempt {record.attempt}"
    wait = _seconds(record.not_before_ms - now_ms)
    return Explanation(Reason.DELAYED, f"it is due in {wait}: {cause}")


def _queued(record: TaskRecord, around: Surroundings) -> Explanation:
    rules = around.rules
    ahead = 0 if around.place is None else around.place.position - 1
    unseen = around.place is not None and not around.place.exact
    if (ahead or unseen) and rules[Rule.ELIGIBLE] + rules[Rule.ELSEWHERE] + rules[Rule.FULL]:
        goes = f"{counted(ahead, 'task')} {'goes' if ahead == 1 else 'go'} first"
        if unseen:
            goes = f"at least {goes}" if ahead else "others may go first"
            goes += ": more tasks wait than the gateway keeps in view"
        full = f"; of {counted(_capable(rules), 'capable server')} {rules[Rule.FULL]} full"
        text = f"{goes}{full if rules[Rule.FULL] else ''}"
        return Explanation(Reason.BEHIND_OTHERS, text, "more slots, or a higher priority")
    next_one = Explanation(Reason.NEXT, "a server is free: it is about to start")
    return no_server(record, rules) or next_one


#: No single thing helps: each server has a reason of its own.
_LOOK = "register another, or see what each server says (inferry explain)"


def no_server(record: TaskRecord, rules: Counter[Rule]) -> Explanation | None:
    """Tells why no server can take a task now; None if one can.

    Args:
        record: The task.
        rules: How many servers there are of which each rule decides.
    """
    capable = _capable(rules)
    if not capable:
        needs = ", ".join((record.spec.type, *record.spec.capabilities))
        text = "no server is registered"
        if rules:
            text = f"of {counted(rules.total(), 'server')} none is capable of {needs}"
        return Explanation(Reason.NO_SERVER, text, f"register a server with: {needs}")
    if rules[Rule.ELIGIBLE] + rules[Rule.ELSEWHERE]:
        return None
    hindered = ", ".join(f"{rules[rule]} {words}" for rule, words in _WORDS.items() if rules[rule])
    text = f"of {counted(capable, 'capable server')} none can take it now: {hindered}"
    return Explanation(Reason.NO_FREE_SERVER, text, _LOOK)


def paused(task_type: str, reason: str) -> Explanation:
    """Tells that a type is paused, and why if anybody said so."""
    text = f"the type {task_type!r} is paused{f': {reason}' if reason else ''}"
    return Explanation(Reason.PAUSED, text, "resume the type (inferry unpause)")


def _capable(rules: Counter[Rule]) -> int:
    return rules.total() - rules[Rule.NOT_CAPABLE]


_WORDS = {
    Rule.FULL: "full",
    Rule.DRAINING: "draining",
    Rule.OFFLINE: "offline",
    Rule.BREAKER_OPEN: "with an open breaker",
    Rule.RESTING: "resting",
    Rule.NO_CREDIT: "without credit",
    Rule.LOADING: "loading",
    Rule.STALLED: "stalled",
    Rule.RECONNECTING: "reconnecting",
}


def _seconds(ms: int) -> str:
    return f"{max(0, ms) / 1000:.1f} s"
