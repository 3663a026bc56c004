"""What other replicas committed: it has the same consequences here as if it had been an own commit.

It is heard as events with the tasks as they are now, so hearing it twice, late or in larger steps
does no harm. What is in memory follows: what waits, whose slots are held, who waits for news.
"""

from collections.abc import Sequence
from typing import NamedTuple

from inferry.server.clock import Clock
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.reads import Since
from inferry.server.engine.signals import Signals
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.store.operations import Logged
from inferry.server.task.record import Attempt, AttemptOutcome, Event, EventKind, TaskRecord

#: What a server says itself.
_WORDS = frozenset(
    {EventKind.ACCEPTED, EventKind.PROGRESSED, EventKind.MISREPORTED, EventKind.LATE_RESULT}
)


class Ended(NamedTuple):
    """An attempt of which another replica wrote down that it has ended."""

    #: The task as that left it, as far as that is known.
    record: TaskRecord
    number: int
    #: Whose slot it had; see ``Ledger.holder``.
    server_id: str

    @property
    def attempt(self) -> AttemptKey:
        """What it is called."""
        return self.record.spec.id, self.number


class Hearing:
    """Takes in what others committed.

    Args:
        ledger: Keeps what is in memory.
        fleet: The servers and their slots.
        signals: Who waits for news of a task.
        alarm: Is told of each deadline.
        clock: The time.
    """

    def __init__(
        self, *, ledger: Ledger, fleet: Fleet, signals: Signals, alarm: Alarm, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._fleet = fleet
        self._signals = signals
        self._alarm = alarm
        self._clock = clock

    def heard(self, logged: Sequence[Logged], since: Since) -> list[Ended]:
        """Takes events of other replicas, in their order.

        Args:
            logged: The events, each with its task as it is now.
            since: Tells whether that is no older than what own commits left.

        Returns:
            The attempts that ended by them and are looked after here: ``ended`` is to be told of
            each, with the attempt as it is stored.
        """
        latest = {one.event.task_id: one.record for one in logged}
        begun = {one.event.task_id for one in logged if one.event.kind is EventKind.DISPATCHED}
        for task_id, record in latest.items():
            if since.fresh(record):
                self._take(record, started=task_id in begun)
        ended = []
        for one in logged:
            self._note_life(one)
            self._note_begun(one, since)
            task_id, number = one.event.task_id, one.event.attempt
            holder = self._ledger.holder(task_id, number) if _closes(one.event) else None
            if holder is not None:
                ended.append(Ended(_as_of(one), number, holder))
        return ended

    def ended(self, one: Ended, closed: Attempt | None) -> None:
        """Lets go of an attempt that has ended, as ``heard`` said.

        Args:
            one: The attempt.
            closed: The same as it is stored; None if its task was dropped meanwhile.
        """
        if closed is None:
            # Nothing is left to tell a server of it.
            closed = Attempt(one.number, one.server_id, AttemptOutcome.SUCCEEDED, "", 0, 0)
        self._ledger.ended_elsewhere(one.record, closed)

    def _take(self, record: TaskRecord, *, started: bool) -> None:
        self._ledger.hear(record, started=started)
        self._alarm.note(record.deadline_ms)
        self._signals.ring(record)

    def _note_begun(self, one: Logged, since: Since) -> None:
        """Takes up what a worker was given elsewhere at the moment in which it came here."""
        event, record = one.event, one.record
        begun = event.kind is EventKind.DISPATCHED and record.attempt == event.attempt
        member = self._fleet.get(event.server_id or "") if begun and record.running else None
        if member is not None and member.owned and since.fresh(record):
            self._ledger.adopt(record)

    def _note_life(self, one: Logged) -> None:
        event, record = one.event, one.record
        word = event.kind is EventKind.FINISHED and record.seq == event.seq and record.digest
        if event.server_id is not None and (word or event.kind in _WORDS):
            self._fleet.seen(event.server_id, self._clock.now_ms())


def _closes(event: Event) -> bool:
    """Whether an event ended an attempt."""
    finished = event.kind is EventKind.FINISHED and event.server_id is not None
    return finished or event.kind is EventKind.REQUEUED


def _as_of(one: Logged) -> TaskRecord:
    """Gives a task as an event left it, where that matters to its server."""
    event, record = one.event, one.record
    if record.seq == event.seq:
        return record
    return record._replace(status=event.status, attempt=event.attempt, digest=b"")
