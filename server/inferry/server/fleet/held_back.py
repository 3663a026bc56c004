"""The servers that calls are held back from: those that rest, and those with an open breaker."""

import asyncio

import structlog

from inferry.server.fleet import breaker as breakers
from inferry.server.fleet.breaker import Breaker, BreakerState, CallEnd
from inferry.server.fleet.member import Member
from inferry.server.fleet.rest import Rest, refuse
from inferry.server.fleet.rules import FleetRules

_log = structlog.get_logger(__name__)


class HeldBack:
    """Has servers rest and turns their breakers, and knows when that ends.

    Args:
        rules: Of breakers and rests.
        claimable: Set when a server may take more tasks than before.
    """

    def __init__(self, rules: FleetRules, claimable: asyncio.Event) -> None:
        self._rules = rules
        self._claimable = claimable
        self._members: dict[str, Member] = {}

    def drop(self, server_id: str) -> None:
        """Forgets a server."""
        self._members.pop(server_id, None)

    def refuse(self, member: Member, now_ms: int, asked_ms: int | None) -> None:
        """Leaves a server alone that refused a task."""
        server_id, rested = member.record.id, member.rest.until_ms > now_ms
        member.rest = refuse(member.rest, now_ms, asked_ms, self._rules.rest)
        self._members[server_id] = member
        member.renew()
        if not rested:
            rest_ms = member.rest.until_ms - now_ms
            _log.info("server rests", server_id=server_id, rest_ms=rest_ms)

    def note(self, member: Member, now_ms: int, end: CallEnd) -> None:
        """Applies the end of a call to a server's breaker."""
        self._turn(member, breakers.note(member.breaker, end, now_ms, self._rules.breaker))

    def encourage(self, member: Member) -> None:
        """Applies a good probe: a server with an open breaker gets one task on trial."""
        self._turn(member, breakers.encourage(member.breaker))

    def welcome(self, member: Member) -> None:
        """Ends what holds a server back, which has registered or was resumed: a newer word."""
        member.rest = Rest()
        member.renew()
        self.encourage(member)

    def tick(self, now_ms: int) -> None:
        """Lets time pass: ends rests, and makes breakers half-open."""
        for server_id, member in list(self._members.items()):
            if 0 < member.rest.until_ms <= now_ms:
                member.rest = member.rest._replace(until_ms=0)
                member.renew()
                self._claimable.set()
            if 0 < member.breaker.until_ms <= now_ms:
                self.encourage(member)
            if not member.retry_ms:
                del self._members[server_id]

    def next_ms(self) -> int | None:
        """Tells when the next rest or open breaker ends; None if there is none."""
        times = (
            at_ms
            for member in self._members.values()
            for at_ms in (member.rest.until_ms, member.breaker.until_ms)
            if at_ms
        )
        return min(times, default=None)

    def __bool__(self) -> bool:
        return bool(self._members)

    def _turn(self, member: Member, breaker: Breaker) -> None:
        server_id, before, state = member.record.id, member.breaker, breaker.state
        member.breaker = breaker
        if state is not before.state:
            _log.info("breaker", server_id=server_id, state=state.name, reason=breaker.reason)
            if state is BreakerState.OPEN:
                self._members[server_id] = member
            else:
                self._claimable.set()
            if state is BreakerState.HALF_OPEN:
                member.before_trial = frozenset(member.holding)
            member.renew()
        elif breaker.unreachable != before.unreachable:
            member.renew()
