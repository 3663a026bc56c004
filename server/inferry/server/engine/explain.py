"""Why a task runs where it runs, or why it does not run and what would change that.

The servers' part is ``routing.verdict``, which routing itself decides by; here is the task's part.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from inferry.server.clock import Clock
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader
from inferry.server.engine.signals import Place
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import ServerRecord
from inferry.server.fleet.routing import Rule
from inferry.server.fleet.verdict import Verdict, counted
from inferry.server.task.record import Status, TaskRecord
from inferry.server.task.route import route_of


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
    #: Of each server.
    verdicts: Sequence[Verdict]
    #: Why its type is paused; None when it is not.
    pause_reason: str | None
    #: Where it stands in the queue; None when it does not wait for its turn.
    place: Place | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A task's explanation, and what it was drawn from."""

    record: TaskRecord
    explanation: Explanation
    #: Where it stands in the queue; None when it does not wait for its turn.
    place: Place | None
    #: Of each server whether it may take the task, by name; none once it is final.
    verdicts: Sequence[tuple[ServerRecord, Verdict]]


class Explainer:
    """Gathers what decides about a task."""

    def __init__(
        self,
        *,
        reader: Reader,
        queue: QueueView,
        fleet: Fleet,
        clock: Clock,
        catch_up: CatchUp,
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._fleet = fleet
        self._clock = clock
        self._catch_up = catch_up

    async def explain(self, task_id: str, tenant: str | None) -> Explained:
        """Explains a task as things are now.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over.
        """
        record = await self._reader.task(task_id, tenant)
        await self._catch_up.now()
        now = self._clock.now_ms()
        route = route_of(record.spec.type, record.spec.capabilities)
        judged = [] if record.status.final else self._fleet.verdicts(route, now)
        place, pause = self._queue.place_of(record), self._queue.pause_of(record.spec.type)
        around = Surroundings(
            now_ms=now,
            verdicts=[verdict for _, verdict in judged],
            pause_reason=None if pause is None else pause.reason,
            place=place,
        )
        return Explained(record, explain(record, around), place, judged)


def explain(record: TaskRecord, around: Surroundings) -> Explanation:
    """Tells what decides about a task now."""
    if record.status.final:
        return _ended(record)
    if record.running:
        return _running(record, around.now_ms)
    if record.not_before_ms > around.now_ms:
        return _delayed(record, around.now_ms)
    if around.pause_reason is not None:
        why = f": {around.pause_reason}" if around.pause_reason else ""
        text = f"the type {record.spec.type!r} is paused{why}"
        return Explanation(Reason.PAUSED, text, "resume the type (inferry unpause)")
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
    rules = Counter(verdict.rule for verdict in around.verdicts)
    capable = rules.total() - rules[Rule.NOT_CAPABLE]
    if not capable:
        needs = ", ".join((record.spec.type, *record.spec.capabilities))
        text = "no server is registered"
        if around.verdicts:
            text = f"of {counted(rules.total(), 'server')} none is capable of {needs}"
        return Explanation(Reason.NO_SERVER, text, f"register a server with: {needs}")
    ahead = 0 if around.place is None else around.place.position - 1
    unseen = around.place is not None and not around.place.exact
    free = rules[Rule.ELIGIBLE] + rules[Rule.ELSEWHERE]
    if (ahead or unseen) and free + rules[Rule.FULL]:
        goes = f"{counted(ahead, 'task')} {'goes' if ahead == 1 else 'go'} first"
        if unseen:
            goes = f"at least {goes}" if ahead else "others may go first"
            goes += ": more tasks wait than the gateway keeps in view"
        full = f"; of {counted(capable, 'capable server')} {rules[Rule.FULL]} full"
        text = f"{goes}{full if rules[Rule.FULL] else ''}"
        return Explanation(Reason.BEHIND_OTHERS, text, "more slots, or a higher priority")
    if free:
        return Explanation(Reason.NEXT, "a server is free: it is about to start")
    hindered = ", ".join(f"{rules[rule]} {words}" for rule, words in _WORDS.items() if rules[rule])
    text = f"of {counted(capable, 'capable server')} none can take it now: {hindered}"
    return Explanation(Reason.NO_FREE_SERVER, text, "see what each server says")


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
