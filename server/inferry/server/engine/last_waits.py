"""Who waits for an end while the gateway stops is told at once when that cannot come any more.

Nobody can call the gateway by then. What still comes in comes on what is open, an answer to a call
or a word on a worker's stream, or with the time: a timeout, the end of a delay.
"""

import asyncio

from inferry.server.clock import Clock
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.reader import Reader
from inferry.server.engine.signals import Signal
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Member
from inferry.server.fleet.routing import Rule, hindrance
from inferry.server.loop import Loop
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of

#: Between two looks.
_PAUSE_S = 0.05

#: What keeps a server from work that may end by itself: all of these have an open stream.
_PASSING = frozenset({Rule.ELIGIBLE, Rule.NO_CREDIT, Rule.LOADING, Rule.STALLED})


class LastWaits(Loop):
    """Looks after those who wait for an end without a time.

    Args:
        reader: Knows them.
        ledger: Knows which attempts may be heard of.
        fleet: The servers.
        clock: The time.
    """

    def __init__(self, reader: Reader, ledger: Ledger, fleet: Fleet, clock: Clock) -> None:
        super().__init__()
        self._reader = reader
        self._ledger = ledger
        self._fleet = fleet
        self._clock = clock
        self._until_ms = 0
        #: Those whose end could not come as of the last look.
        self._doubted: list[Signal] = []

    def begin(self, within_ms: int) -> None:
        """The gateway stops, after so long at the latest."""
        self._until_ms = self._clock.now_ms() + within_ms
        self.start()

    async def run_once(self) -> None:
        """Refuses whose end could not come at two looks: at one, it may be on its way between."""
        doubted = [
            signal
            for signal in self._reader.patient
            if signal.record is not None and not self.can_end(signal.record)
        ]
        for signal in doubted:
            if signal in self._doubted:
                signal.dismiss()
        self._doubted = doubted

    async def pause(self) -> None:
        """Waits for the next look."""
        await asyncio.sleep(_PAUSE_S)

    def can_end(self, record: TaskRecord) -> bool:
        """Whether a task may end before the gateway does."""
        if record.status.final or 0 < record.deadline_ms <= self._until_ms:
            return True
        if record.running:
            return self._ledger.hears(record.server_id or "", (record.spec.id, record.attempt))
        return self._can_start(record)

    def _can_start(self, record: TaskRecord) -> bool:
        spec = record.spec
        if record.not_before_ms > self._until_ms or self._ledger.paused_now(spec.type):
            return False
        route = route_of(spec.type, spec.capabilities)
        return any(self._can_take(member) for member in self._fleet.capable(route))

    def _can_take(self, member: Member) -> bool:
        """Whether a server may have room for a task: now, later, or once an attempt has ended."""
        rule = hindrance(member)
        if rule in (Rule.RESTING, Rule.BREAKER_OPEN):
            return member.retry_ms <= self._until_ms
        if rule is Rule.FULL:
            heard = (self._ledger.hears(member.record.id, one) for one in member.holding)
            return member.reserved > 0 or any(heard)
        return rule in _PASSING
