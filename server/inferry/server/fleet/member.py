"""A server in memory: what it registered, and what is known of it since this gateway started."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from inferry.server.fleet.breaker import Breaker, BreakerState
from inferry.server.fleet.lease import AttemptKey, Lease
from inferry.server.fleet.line import APART, Connection, Line
from inferry.server.fleet.record import Health, Load, ServerRecord, ServerStatus, Transport
from inferry.server.fleet.rest import Rest

#: Ended attempts that the success rate looks back on.
RECENT = 100
#: Ends attempts whose server died or was taken away: the server's id, the attempts, and why.
Lose = Callable[[str, Collection[AttemptKey], str], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Member:
    """A server as the fleet knows it; only the fleet changes it, and who reaches it its lease."""

    record: ServerRecord
    health: Health = field(default_factory=Health)
    breaker: Breaker = field(default_factory=Breaker)
    #: What it last said of its load; None before it said anything.
    load: Load | None = None
    #: Whether it wants to be left alone.
    rest: Rest = field(default_factory=Rest)
    #: The attempts whose slots are here.
    holding: set[AttemptKey] = field(default_factory=set)
    #: Those that it had when its breaker became half-open: none of them is the trial.
    before_trial: frozenset[AttemptKey] = frozenset()
    #: Slots that a claim under way may fill.
    reserved: int = 0
    #: Whether the last attempts succeeded, oldest first.
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    #: How long it keeps what it holds without a sign of life.
    lease: Lease = field(default_factory=Lease)
    #: Why its last probe failed.
    last_error: str = ""
    #: When its last probe began that has ended; 0 before that.
    probed_ms: int = 0
    #: What its health check says that it is capable of, where it registered something else.
    claims: frozenset[str] = frozenset()
    #: When it is taken out of the list at the latest; 0 when it stays.
    leaves_ms: int = 0
    #: Writes under way that may have it stay.
    kept: int = 0
    #: Whether it is this replica that looks after it and gives it tasks.
    owned: bool = True
    #: Whether it is not known yet what it has from the replica that had it before.
    arriving: bool = False
    #: Of one that is another replica's: slots that are taken there.
    elsewhere: int = 0
    #: Share of its attempts that succeeded, by the word of the replica that has or had it.
    told_rate: float | None = None
    #: Of a worker: its stream. None of others.
    line: Line | None = field(init=False)

    # What routing looks at: read for each server of each task, so it is kept ready.

    #: Whether it gets tasks.
    status: ServerStatus = field(init=False)
    #: Slots that are taken.
    active: int = field(init=False)
    #: Tasks that wait inside it, by its own word.
    queued: int = field(init=False)
    #: Slots that its breaker holds back: all when it is open, all but one on trial.
    withheld: int = field(init=False)
    #: What makes it the last choice: a bad probe, calls that could not connect.
    doubts: int = field(init=False)
    #: Of a worker: how it stands with its stream. None of others.
    connection: Connection | None = field(init=False)
    #: Of a worker: assignments that it can get now. None of others.
    credit: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.line = Line() if self.record.transport is Transport.GRPC else None
        self.renew()

    def renew(self) -> None:
        """Brings what routing looks at up to date; to be called after each change."""
        self.status = self._status()
        self.connection = None if self.line is None else self.line.connection
        self.queued = self.load.queue_length if self.load is not None else 0
        degraded = self.health.status is ServerStatus.DEGRADED
        self.doubts = degraded + (self.breaker.unreachable > 0)
        self.withheld = self.record.max_concurrent if self.breaker.state is BreakerState.OPEN else 0
        self.recount()

    def recount(self) -> None:
        """Does so when only the slots that are taken changed, as they do for each attempt."""
        self.active = len(self.holding) + self.reserved + self.elsewhere
        line = self.line
        self.credit = None if line is None else line.credit(self.reserved)
        if self.breaker.state is BreakerState.HALF_OPEN:
            others = len(self.holding & self.before_trial)
            self.withheld = max(0, self.record.max_concurrent - others - 1)

    def take(self, attempt: AttemptKey) -> None:
        """Takes a slot for an attempt; with a stream, it is about to be given to that."""
        self.holding.add(attempt)
        if self.line is not None and self.line.connection not in APART:
            self.line.due.add(attempt)
        self.recount()

    def free(self, attempt: AttemptKey) -> None:
        """Gives an attempt's slot back; twice does no harm."""
        self.holding.discard(attempt)
        if self.line is not None:
            self.line.due.discard(attempt)
        self.recount()

    def own(self, *, owned: bool) -> None:
        """Is this replica's from now on, which knows nothing of it yet, or another's."""
        self.owned = self.arriving = owned
        self.health, self.breaker, self.rest = Health(), Breaker(), Rest()
        self.lease = Lease(seen_ms=self.lease.seen_ms)
        self.told_rate = self.success_rate
        self.recent.clear()
        self.holding.clear()
        self.before_trial, self.elsewhere = frozenset(), 0
        if self.line is not None:
            self.line = Line()
        self.renew()

    def absent_ms(self, now_ms: int) -> int:
        """Tells for how long it has been gone, holding nothing; 0 when it is not, or drains.

        That is since its last sign of life or registration, or since this gateway looks after it.
        """
        if self.status is not ServerStatus.OFFLINE or self.active:
            return 0
        return now_ms - max(self.lease.begun_ms, self.record.updated_ms)

    def on_trial(self, attempt: AttemptKey) -> bool:
        """Whether an attempt is the one that decides about a half-open breaker."""
        return attempt in self.holding and attempt not in self.before_trial

    @property
    def retry_ms(self) -> int:
        """When it may be called again, if that is held back until a time; else 0."""
        return max(self.rest.until_ms, self.breaker.until_ms)

    @property
    def success_rate(self) -> float | None:
        """Share of the last attempts that succeeded; None before the first ended."""
        return sum(self.recent) / len(self.recent) if self.recent else self.told_rate

    def _status(self) -> ServerStatus:
        line = self.line
        if self.record.draining or self.leaves_ms or (line is not None and line.leaving):
            return ServerStatus.DRAINING
        if line is not None and line.connection in APART:
            return ServerStatus.OFFLINE
        if self.rest.until_ms and self.health.status is not ServerStatus.OFFLINE:
            return ServerStatus.RESTING
        return self.health.status
