"""One stream of a worker, as the gateway sees it: its clocks, and what was said on it so far.

Nothing here reads or writes a socket, and time is passed in: whoever has the stream hands in what
comes, sends what ``outbox`` has, and ends it when ``over`` says so.
"""

import asyncio
from random import Random

from inferry.server.carriers.worker.chunks import Budget, Chunks
from inferry.server.carriers.worker.outbox import Outbox
from inferry.server.carriers.worker.rules import (
    BEAT_JITTER,
    PROTOCOL,
    RECONNECT_JITTER,
    SILENT_BEATS,
    WorkerRules,
)
from inferry.server.errors import InferryError, UnauthenticatedError, UnavailableError
from inferry.server.fleet.line import Connection
from inferry.v1.worker_pb2 import Reconnect, WorkerWelcome


class Session:
    """A stream that was welcomed.

    Args:
        server_id: The worker.
        rules: The numbers.
        budget: Bytes of large results.
        random: Jitter.
        now_ms: The time.
        token_ends_ms: When its token ends.
    """

    def __init__(
        self,
        server_id: str,
        rules: WorkerRules,
        budget: Budget,
        random: Random,
        now_ms: int,
        token_ends_ms: int,
    ) -> None:
        self.server_id = server_id
        self._rules = rules
        self._random = random
        self.outbox = Outbox(rules)
        self.chunks = Chunks(budget, rules.report.largest, rules.chunk_bytes)
        #: The last message of the worker.
        self.heard_ms = now_ms
        #: When the token ends that it goes by.
        self.token_ends_ms = token_ends_ms
        self.beat_due_ms = now_ms + self._spread(rules.beat_ms, BEAT_JITTER)
        self.reconnect_due_ms = now_ms + self._spread(rules.reconnect_ms, RECONNECT_JITTER)
        #: When the stream is ended that the worker was to leave; 0 before it was told.
        self.ends_ms = 0
        #: Assignments that left on it.
        self.sent = 0
        #: Whether the worker can take work, and how far its handlers lag behind.
        self.ready = False
        self.lag_ms = 0
        #: Whether the worker was told that it gets no more.
        self.draining = False
        #: Whether it said goodbye.
        self.goodbye = False
        #: Whether a list of what it holds is on its way.
        self.listing = False
        #: Reports whose acknowledgement has not left, and when there is room for another.
        self.unacknowledged = 0
        self._room = asyncio.Event()
        self._room.set()
        #: What was passed over.
        self.skipped = 0
        #: Whether it is to end, and with what; None is a good end.
        self.over = False
        self.error: InferryError | None = None

    @property
    def connection(self) -> Connection:
        """Tells how it stands with the worker."""
        if self.over or self.ends_ms:
            return Connection.RECONNECTING
        if not self.ready:
            return Connection.LOADING
        stalled = self.lag_ms > self._rules.stalled_ms
        return Connection.STALLED if stalled else Connection.CONNECTED

    @property
    def due_ms(self) -> int:
        """When the first of its clocks rings."""
        ends_ms = self.ends_ms or self.reconnect_due_ms
        if self.goodbye and not self.ends_ms:
            ends_ms = self.token_ends_ms
        return min(self._silent_ms, self.beat_due_ms, self.token_ends_ms, ends_ms)

    def hear(self, now_ms: int) -> None:
        """The worker spoke."""
        self.heard_ms = now_ms

    def tick(self, now_ms: int) -> bool:
        """Lets time pass: ends what is over; tells whether a heartbeat is due."""
        if not self._room.is_set():
            # Who is slowed is not silent: what it says is not read.
            self.heard_ms = now_ms
        if self.token_ends_ms <= now_ms:
            self.end(UnauthenticatedError("the token has expired: send a new one before it does"))
        elif self._silent_ms <= now_ms:
            silent_ms = now_ms - self.heard_ms
            self.end(UnavailableError(f"the worker said nothing for {silent_ms / 1000:g} s"))
        elif self.ends_ms and self.ends_ms <= now_ms:
            self.end(None)
        elif not self.goodbye and self.reconnect_due_ms <= now_ms:
            self.reconnect(now_ms, "streams are opened anew now and then")
        if self.over or self.beat_due_ms > now_ms:
            return False
        self.beat_due_ms = now_ms + self._spread(self._rules.beat_ms, BEAT_JITTER)
        return True

    def reconnect(self, now_ms: int, reason: str) -> None:
        """Tells the worker to open another stream; this one goes on for a little."""
        if not self.ends_ms:
            self.outbox.reconnect(Reconnect(after_ms=0, reason=reason))
            self.ends_ms = now_ms + self._rules.beat_ms

    def end(self, error: InferryError | None) -> None:
        """Is to end, and with what; the first word counts."""
        if not self.over:
            self.over, self.error = True, error
            self.outbox.changed.set()
            self._room.set()

    def begin_report(self) -> None:
        """A report came."""
        self.unacknowledged += 1
        if self.unacknowledged >= self._rules.reports and not self.over:
            self._room.clear()

    def end_reports(self, count: int) -> None:
        """Acknowledgements left."""
        self.unacknowledged -= count
        if self.unacknowledged < self._rules.reports:
            self._room.set()

    @property
    def full(self) -> bool:
        """Whether another report has to wait."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Waits until there is room for another report: who sends more is slowed."""
        await self._room.wait()

    @property
    def _silent_ms(self) -> int:
        return self.heard_ms + SILENT_BEATS * self._rules.beat_ms

    def _spread(self, about_ms: int, jitter: float) -> int:
        return int(about_ms * (1 + jitter * (2 * self._random.random() - 1)))


def new_welcome(
    session: Session, resume_token: str, rules: WorkerRules, *, resumed: bool
) -> WorkerWelcome:
    """Makes what a worker is told first on its stream.

    Args:
        session: The stream.
        resume_token: Shows on its next stream that the worker is the same.
        rules: The numbers.
        resumed: Whether it has shown that now: then it keeps what it has.
    """
    welcome = WorkerWelcome(
        server_id=session.server_id,
        protocol_version=PROTOCOL,
        resume_token=resume_token,
        resumed=resumed,
        heartbeat_interval_ms=rules.beat_ms,
        acknowledge_within_ms=rules.acknowledge_ms,
        lease_ms=rules.lease_ms,
        unacknowledged_reports_limit=rules.reports,
        result_limit_bytes=rules.report.largest,
        chunk_bytes=rules.chunk_bytes,
        stalled_after_ms=rules.stalled_ms,
    )
    welcome.token_expires_at.FromMilliseconds(session.token_ends_ms)
    return welcome
