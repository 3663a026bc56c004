"""The servers in memory: health, load, and the slots that attempts hold.

Slots are counted by the tasks that hold them, so that giving one back twice does no harm.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from inferry.server.routing import Candidate, choose
from inferry.server.servers import Health, Load, ServerRecord, ServerStatus, observe

#: Ended attempts that the success rate looks back on.
RECENT = 100
REST_FIRST_MS = 1_000
REST_LONGEST_MS = 30_000


@dataclass(slots=True)
class Member:
    """A server and what is known of it since this gateway started."""

    record: ServerRecord
    health: Health = field(default_factory=Health)
    #: What it last said of its load; None before it said anything.
    load: Load | None = None
    #: Task and number of the attempts that hold a slot.
    holding: set[tuple[str, int]] = field(default_factory=set)
    #: Slots that a claim under way may fill.
    reserved: int = 0
    #: Whether the last attempts succeeded, oldest first.
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    #: When it last gave a sign of life; 0 for never.
    last_seen_ms: int = 0
    #: Why its last probe failed.
    last_error: str = ""
    #: It refused a task: left alone until then.
    resting_until_ms: int = 0
    #: Refusals in a row.
    refusals: int = 0

    @property
    def active(self) -> int:
        """Slots that are taken."""
        return len(self.holding) + self.reserved

    @property
    def queued(self) -> int:
        """Tasks that wait inside it, by its own word."""
        return self.load.queue_length if self.load is not None else 0

    @property
    def status(self) -> ServerStatus:
        """Whether it gets tasks."""
        return ServerStatus.DRAINING if self.record.draining else self.health.status

    @property
    def success_rate(self) -> float | None:
        """Share of the last attempts that succeeded; None before the first ended."""
        return sum(self.recent) / len(self.recent) if self.recent else None


class Fleet:
    """All servers of this gateway."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._by_place: dict[tuple[str, str], str] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, server_id: str) -> Member | None:
        """Finds a server; None if it is not registered."""
        return self._members.get(server_id)

    def find(self, url: str, name: str) -> Member | None:
        """Finds a server by what it registered; None if there is none."""
        return self._members.get(self._by_place.get((url, name), ""))

    def put(self, record: ServerRecord) -> Member:
        """Adds a server or renews its registration; slots and health stay."""
        member = self._members.get(record.id)
        if member is None:
            member = self._members[record.id] = Member(record)
        member.record = record
        self._by_place[record.url, record.name] = record.id
        return member

    def drop(self, server_id: str) -> None:
        """Forgets a server."""
        member = self._members.pop(server_id, None)
        if member is not None:
            del self._by_place[member.record.url, member.record.name]

    def candidates(self, now_ms: int) -> list[Candidate]:
        """Shows the servers to routing, without those that rest."""
        return [
            Candidate(member.record, member.status, member.active, member.queued)
            for member in self._members.values()
            if member.resting_until_ms <= now_ms
        ]

    def choose(self, route: str, now_ms: int) -> str | None:
        """Picks the server for a task of a route; None if none may take it now."""
        best = choose(self.candidates(now_ms), route)
        return None if best is None else best.record.id

    def hold(self, server_id: str, task_id: str, attempt: int) -> None:
        """Takes a slot for an attempt."""
        member = self._members.get(server_id)
        if member is not None:
            member.holding.add((task_id, attempt))

    def reserve(self, server_id: str, slots: int) -> None:
        """Takes slots for a claim under way; a negative number gives them back."""
        member = self._members.get(server_id)
        if member is not None:
            member.reserved += slots

    def free(self, server_id: str, task_id: str, attempt: int) -> None:
        """Gives an attempt's slot back."""
        member = self._members.get(server_id)
        if member is not None:
            member.holding.discard((task_id, attempt))

    def seen(self, server_id: str, now_ms: int) -> None:
        """Takes note of a sign of life."""
        member = self._members.get(server_id)
        if member is not None:
            member.last_seen_ms = now_ms

    def note_attempt(self, server_id: str, now_ms: int, *, succeeded: bool) -> None:
        """Remembers how an attempt ended that the server did run."""
        member = self._members.get(server_id)
        if member is not None:
            member.recent.append(succeeded)
            member.refusals = 0
            member.last_seen_ms = now_ms

    def rest(self, server_id: str, now_ms: int, asked_ms: int | None) -> None:
        """Leaves a server alone that refused a task: as long as it asked, or ever longer."""
        member = self._members.get(server_id)
        if member is not None:
            member.refusals += 1
            wait_ms = min(REST_LONGEST_MS, REST_FIRST_MS * 2 ** min(member.refusals - 1, 16))
            member.resting_until_ms = now_ms + (wait_ms if asked_ms is None else asked_ms)

    def next_rested_ms(self, now_ms: int) -> int | None:
        """Tells when the next resting server may be asked again; None if none rests."""
        resting = (member.resting_until_ms for member in self._members.values())
        return min((until for until in resting if until > now_ms), default=None)

    def observe(self, server_id: str, now_ms: int, load: Load | None, error: str) -> None:
        """Takes the outcome of a probe or a heartbeat; an empty ``error`` is a good one."""
        member = self._members.get(server_id)
        if member is None:
            return
        if member.last_error and not error:
            member.resting_until_ms = 0
        member.health = observe(member.health, good=not error)
        member.last_error = error
        if not error:
            member.last_seen_ms = now_ms
        if load is not None:
            member.load = load
