"""The servers in memory: health, load, breakers, and the slots that attempts hold.

Slots are counted by the attempts that hold them, so that giving one back twice does no harm. Time
is passed in; ``tick`` makes it pass for rests and breakers before anybody looks at them.
"""

import asyncio

import structlog

from inferry.server.fleet.breaker import BreakerState, CallEnd
from inferry.server.fleet.held_back import HeldBack
from inferry.server.fleet.line import APART
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Health, Load, ServerRecord, observe
from inferry.server.fleet.roster import Roster
from inferry.server.fleet.routing import Candidate, Rule, candidate, choose, hindrance
from inferry.server.fleet.rules import FleetRules
from inferry.server.fleet.verdict import Verdict, verdict
from inferry.server.telemetry.names import Names

_log = structlog.get_logger(__name__)


class Fleet(Roster):
    """All servers of this gateway, those included that are another replica's.

    Args:
        rules: By which they are judged.
        types: Gets to know what servers are capable of.
    """

    def __init__(self, rules: FleetRules, types: Names | None = None) -> None:
        super().__init__()
        self._rules = rules
        self._types = types or Names(0)
        #: Epoch of this replica; None when it is alone, and all servers are its own.
        self.epoch: int | None = None
        #: Set when a server was registered, renewed or dropped, or its probe has ended.
        self.changed = asyncio.Event()
        #: Set when a server that is to go may have nothing left, has gone, or stays.
        self.parting = asyncio.Event()
        #: Set when a server was drained or resumed, is to go, has gone, or stays.
        self.turned = asyncio.Event()
        #: Set when a server may take more tasks than before.
        self.claimable = asyncio.Event()
        self._held_back = HeldBack(rules, self.claimable)

    def by_name(self, now_ms: int) -> list[Member]:
        """Lists the servers by name, as they are now."""
        self.tick(now_ms)
        return sorted(self, key=lambda member: (member.record.name, member.record.id))

    def put(self, record: ServerRecord, *, read: bool = False) -> Member:
        """Adds a server or renews its registration; its slots stay.

        Unless it drains, this ends what holds it back. One that registered anew is well, as a new
        one is, until its next probe, which is made at once.

        Args:
            record: The server.
            read: Whether it was read in the list of all: then another replica may have had it
                before this one, also if it registered only once.
        """
        member, owned = self._members.get(record.id), self.epoch in (None, record.owner)
        if member is None:
            member = Member(record, owned=owned)
            # It was elsewhere before, and nothing was heard of that yet.
            known = read or record.created_ms < record.updated_ms
            member.arriving = self.epoch is not None and owned and known
        elif owned is not member.owned:
            self._turn_over(member, owned=owned)
        elif record.updated_ms > member.record.updated_ms:
            member.health, member.claims = Health(), frozenset()
        member.record = record
        for name in sorted(record.capabilities):
            self._types.learn(name)
        member.renew()
        if not record.draining and owned:
            self._held_back.welcome(member)
        self._enter(member)
        self.changed.set()
        self.turned.set()
        self.claimable.set()
        return member

    def drop(self, server_id: str) -> None:
        """Forgets a server."""
        member = self._strike(server_id)
        if member is not None:
            self._held_back.drop(server_id)
            self.changed.set()
            self.turned.set()
            self.parting.set()

    def leave(self, server_id: str, at_ms: int) -> None:
        """Has a server go: with no more tasks, when it has none or at a time; 0 keeps it."""
        member = self._members.get(server_id)
        if member is not None and member.leaves_ms != at_ms:
            member.leaves_ms = at_ms
            member.renew()
            self.parting.set()
            self.turned.set()
            self.claimable.set()

    def keep(self, server_id: str, count: int) -> None:
        """Keeps a server from going while a write about it is under way; -1 when it is done."""
        member = self._members.get(server_id)
        if member is not None:
            member.kept += count
            if member.leaves_ms:
                self.parting.set()

    def choose(self, route: str, now_ms: int) -> str | None:
        """Picks the server for a task of a route; None if none may take it now."""
        if self._held_back:
            self.tick(now_ms)
        best = choose(self.capable(route))
        return None if best is None else best.record.id

    def candidates(self, now_ms: int) -> list[Candidate]:
        """Shows the servers that may take a task now to those who plan."""
        self.tick(now_ms)
        return [candidate(one) for one in self if hindrance(one) is Rule.ELIGIBLE]

    def verdicts(self, route: str, now_ms: int) -> list[tuple[ServerRecord, Verdict]]:
        """Tells of each server, by name, whether it may take a task of a route now."""
        return [(member.record, verdict(member, route, now_ms)) for member in self.by_name(now_ms)]

    def take_slot(self, server_id: str, task_id: str, attempt: int) -> None:
        """Takes a slot for an attempt."""
        member = self._members.get(server_id)
        if member is not None and member.owned:
            member.take((task_id, attempt))

    def reserve(self, server_id: str, slots: int) -> None:
        """Takes slots for a claim under way; a negative number gives them back."""
        member = self._members.get(server_id)
        if member is not None:
            member.reserved += slots
            member.recount()
            if member.leaves_ms:
                self.parting.set()

    def free_slot(self, server_id: str, task_id: str, attempt: int) -> None:
        """Gives an attempt's slot back."""
        member = self._members.get(server_id)
        if member is not None:
            member.free((task_id, attempt))
            if member.leaves_ms:
                self.parting.set()

    def seen(self, server_id: str, now_ms: int) -> None:
        """Takes a sign of life: it renews the lease of all that an own server holds.

        What comes by another way from a worker without a stream is none: it was said before.
        """
        member = self._members.get(server_id)
        if member is not None and member.owned and member.connection not in APART:
            member.lease.renew(now_ms)

    def observe(self, server_id: str, load: Load | None, error: str) -> None:
        """Takes the outcome of a probe or a heartbeat; an empty ``error`` is a good one."""
        member = self._members.get(server_id)
        if member is None or not member.owned:
            return
        before, member.health = (
            member.health,
            observe(member.health, self._rules.health, good=not error),
        )
        member.last_error = error
        if load is not None:
            member.load = load
        if not error:
            self._held_back.encourage(member)
        member.renew()
        if member.health.status is not before.status:
            _log.info("server status", server_id=server_id, status=member.status.name, error=error)
            self.claimable.set()

    def note_probe(self, server_id: str, begun_ms: int, claims: frozenset[str]) -> None:
        """Remembers that a probe has ended, and what the server says that it is capable of.

        Nothing is what one says that did not answer, or tells only how it is.
        """
        member = self._members.get(server_id)
        if member is not None and member.owned:
            member.probed_ms = begun_ms
            member.claims = frozenset() if claims == member.record.capabilities else claims

    def note_attempt(self, server_id: str, *, succeeded: bool) -> None:
        """Remembers how an attempt ended that the server did run."""
        member = self._members.get(server_id)
        if member is not None:
            member.recent.append(succeeded)
            if succeeded:
                member.rest = member.rest._replace(streak=0)

    def note_return(self, server_id: str, now_ms: int) -> None:
        """Leaves a server alone for a while that gave an attempt back which it had taken."""
        member = self._members.get(server_id)
        if member is not None:
            self._held_back.refuse(member, now_ms, None)

    def note_call(
        self,
        server_id: str,
        task_id: str,
        attempt: int,
        now_ms: int,
        end: CallEnd,
        retry_after_ms: int | None = None,
    ) -> None:
        """Remembers how a call that brought an attempt to its server ended.

        Args:
            server_id: The server.
            task_id: The task.
            attempt: The attempt, whose slot is still held.
            now_ms: The time.
            end: What came of it.
            retry_after_ms: How long the server asked to be left alone; None when it did not.
        """
        member = self._members.get(server_id)
        if member is None or not member.owned:
            return
        if end in (CallEnd.ANSWERED, CallEnd.REFUSED):
            self.seen(server_id, now_ms)
        if end is CallEnd.REFUSED:
            self._held_back.refuse(member, now_ms, retry_after_ms)
        elif end is CallEnd.ANSWERED and member.rest.streak:
            member.rest = member.rest._replace(streak=0)
        if member.breaker.state is not BreakerState.HALF_OPEN or member.on_trial(
            (task_id, attempt)
        ):
            self._held_back.note(member, now_ms, end)

    def next_rested_ms(self, now_ms: int) -> int | None:
        """Tells when the next rest or open breaker ends; None if there is none."""
        self.tick(now_ms)
        return self._held_back.next_ms()

    def _turn_over(self, member: Member, *, owned: bool) -> None:
        self._held_back.drop(member.record.id)
        member.own(owned=owned)
        _log.info("server taken" if owned else "server given away", server_id=member.record.id)

    def tick(self, now_ms: int) -> None:
        """Lets time pass: ends rests, and makes breakers half-open."""
        self._held_back.tick(now_ms)
