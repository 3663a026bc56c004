"""One worker: the stream that it has or had, and what follows for its attempts when that turns.

Everything happens in a call: a message, a stream that comes or ends, time that passes. What each
attempt goes through is in ``attempts``.
"""

from collections.abc import Iterable

from inferry.server.carriers.worker.attempts import Attempts
from inferry.server.carriers.worker.deeds import Deeds
from inferry.server.carriers.worker.holds import Phase
from inferry.server.carriers.worker.outbox import Parcel
from inferry.server.carriers.worker.rules import NEVER_MS, WorkerRules
from inferry.server.carriers.worker.session import Session
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.v1.worker_pb2 import GatewayHeartbeat

_LEFT = "the worker left"
_ANEW = "the worker began anew"
_GONE = "the worker is gone: it did not connect again in time"


class Worker:
    """A worker of this gateway.

    Args:
        server_id: Which one.
        rules: The numbers.
        lines: What routing knows of its stream.
        deeds: What its words do to tasks.
    """

    def __init__(self, server_id: str, rules: WorkerRules, lines: Lines, deeds: Deeds) -> None:
        self.server_id = server_id
        self._rules = rules
        self._lines = lines
        self.attempts = Attempts(server_id, rules, lines, deeds)
        #: When what it holds is lost if it opens no other stream; 0 with one, and once that is
        #: done.
        self._lost_ms = 0
        #: When its stream has something to do by itself.
        self._due_ms = 0

    @property
    def session(self) -> Session | None:
        """Its stream; None while it has none."""
        return self.attempts.session

    @property
    def due_ms(self) -> int:
        """When there is something to do by itself, or earlier."""
        return min(self._due_ms, self.attempts.due_ms)

    def wake(self) -> None:
        """One of its times changed: the next round looks at them."""
        self._due_ms = 0

    def expect(self, now_ms: int) -> None:
        """Waits for another stream: what it has is kept for it for a lease from now on."""
        self._lines.cut(self.server_id, Connection.RECONNECTING, now_ms)
        self._lost_ms = now_ms + self._rules.lease_ms
        self.wake()

    def attach(
        self, session: Session, held: Iterable[AttemptKey], now_ms: int, *, resumed: bool
    ) -> None:
        """Has the worker speak on a stream from now on; its older one has been cut.

        Args:
            session: The stream.
            held: What the worker says that it still works on.
            now_ms: The time.
            resumed: Whether what it had goes on.
        """
        self._lost_ms = 0
        self.wake()
        self._lines.begin(self.server_id, session.connection, now_ms)
        if not resumed:
            self.attempts.lose_all(_ANEW)
        self.attempts.attach(session, held)
        if len(self.attempts.holds):
            # What it does not have, though no report of it is on its way, is told by its list.
            self.beat(session, list_wanted=True)

    def cut(self, session: Session, now_ms: int, *, closed: bool = False) -> None:
        """Its stream ended; no error if it has another one by now.

        Args:
            session: The stream.
            now_ms: The time.
            closed: Whether the worker closed it, so that all that it said has come.
        """
        session.chunks.clear()
        if self.session is not session:
            return
        self.attempts.cut()
        if closed and session.goodbye and not session.ends_ms and session.error is None:
            self.attempts.lose_all(_LEFT)
            self._lines.cut(self.server_id, Connection.GONE, now_ms)
            return
        self.attempts.doubt()
        self.expect(now_ms)

    def goodbye(self) -> None:
        """The worker leaves: it gets no more."""
        if self.session is not None:
            self.session.goodbye = True
            self._lines.leave(self.server_id)

    def turn(self, session: Session) -> None:
        """Tells routing how it stands with the stream."""
        if self.session is session:
            self._lines.turn(self.server_id, session.connection)

    def take(self, session: Session, now_ms: int) -> Parcel | None:
        """Gives the next message of a stream: what is in it has left when this is called again."""
        parcel = session.outbox.take()
        if parcel is not None:
            for attempt in parcel.assigned:
                session.sent += 1
                self.attempts.left(attempt, session.sent, now_ms)
            session.end_reports(parcel.acknowledged)
        if self.session is session:
            self.attempts.check_room()
        return parcel

    def tick(self, now_ms: int, *, draining: bool) -> None:
        """Lets time pass.

        Args:
            now_ms: The time.
            draining: Whether the worker gets no more, on an operator's word.
        """
        self.attempts.tick(now_ms)
        session = self.session
        if session is not None:
            if session.tick(now_ms):
                self.beat(session, list_wanted=session.listing)
            self.turn(session)
            if session.draining is not draining:
                session.draining = draining
                session.outbox.drain(draining=draining)
        elif 0 < self._lost_ms <= now_ms:
            self._lost_ms = 0
            self._lines.turn(self.server_id, Connection.GONE)
            self.attempts.lose_all(_GONE)
        self._due_ms = session.due_ms if session is not None else self._lost_ms or NEVER_MS

    def pass_over(self, gap_ms: int) -> None:
        """Takes a time out of account in which nobody listened to the worker."""
        if self.session is not None:
            self.session.heard_ms += gap_ms
        self.attempts.holds.put_off(Phase.GIVEN, gap_ms)
        if self._lost_ms:
            self._lost_ms += gap_ms
        self.wake()

    def beat(self, session: Session, *, list_wanted: bool = False) -> None:
        """Sends a heartbeat, which may ask for a list of what the worker holds."""
        count, told = self.attempts.holds.told()
        session.listing = session.listing or list_wanted
        session.outbox.beat(GatewayHeartbeat(held_count=count, held_hash=told, list=list_wanted))
