"""One worker: what it holds, and the stream that it has or had. The rules of both in one place.

Everything happens in a call: a message, an attempt that comes or ends, time that passes. What that
means for tasks goes to ``deeds``, for routing to ``lines``, for the worker to its ``outbox``.
"""

from collections.abc import Iterable

from inferry.server.carriers.worker.deeds import Deeds
from inferry.server.carriers.worker.holds import Hold, Holds, Phase, Stopped, ref
from inferry.server.carriers.worker.outbox import Parcel
from inferry.server.carriers.worker.rules import WorkerRules
from inferry.server.carriers.worker.session import Session
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.v1.worker_pb2 import Assignment, AttemptCancel, GatewayHeartbeat

_TOOK_BACK = "the worker did not acknowledge it in time"
_NEVER_SENT = "the worker's stream ended before it got the task"
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
        self._deeds = deeds
        self.holds = Holds()
        #: Its stream; None while it has none.
        self.session: Session | None = None
        #: When what it holds is lost if it opens no other; 0 with a stream, and once that is done.
        self._lost_ms = 0
        #: When there is something to do by itself.
        self.due_ms = 0

    def adopt(self, attempt: AttemptKey, *, taken: bool) -> None:
        """Takes up an attempt that the worker has from a gateway that stopped."""
        self.holds.put(attempt, Phase.TAKEN if taken else Phase.UNSURE).number = 0

    def expect(self, now_ms: int) -> None:
        """Waits for another stream: what it has is kept for it for a lease from now on."""
        self._lines.cut(self.server_id, Connection.RECONNECTING, now_ms)
        self._lost_ms = now_ms + self._rules.lease_ms
        self.due_ms = 0

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
        self.session, self._lost_ms, self.due_ms = session, 0, 0
        self._lines.begin(self.server_id, session.connection, now_ms)
        if not resumed:
            self._lose_all(_ANEW)
        for attempt in held:
            self.acknowledged(attempt)
        for attempt, hold in self.holds:
            if hold.cancel is not None:
                session.outbox.cancel(attempt, hold.cancel)
        if len(self.holds):
            # What it does not have, though no report of it is on its way, is told by its list.
            self.beat(session, list_wanted=True)

    def cut(self, session: Session, now_ms: int) -> None:
        """Its stream ended; no error if it has another one by now."""
        session.chunks.clear()
        if self.session is not session:
            return
        self.session = None
        for attempt, hold in self.holds:
            if hold.number is None:
                self.give_back(attempt, _NEVER_SENT)
            else:
                hold.number = 0
        if session.goodbye and not session.ends_ms and session.error is None:
            self._lose_all(_LEFT)
            self._lines.cut(self.server_id, Connection.GONE, now_ms)
            return
        self.expect(now_ms)

    def clear(self) -> None:
        """Lets go of all that it holds: it was taken out of the list, and others end that."""
        for attempt, _ in self.holds:
            self.forget(attempt)

    def assign(self, attempt: AttemptKey, assignment: Assignment, now_ms: int) -> None:
        """Gives an attempt to the stream, if there is one and it has credit left."""
        session = self.session
        if session is not None:
            # One that is to end may not have been turned yet.
            self.turn(session)
        if not self._lines.assign(self.server_id, attempt) or session is None:
            self._deeds.give_back(attempt, _NEVER_SENT)
            return
        due_ms = now_ms + self._rules.acknowledge_ms
        self.holds.put(attempt, Phase.GIVEN, due_ms)
        self.due_ms = min(self.due_ms, due_ms)
        session.outbox.assign(attempt, assignment)
        self._check_room(session)

    def drop(self, attempt: AttemptKey) -> None:
        """Lets go of an attempt that has ended here, not on the worker's word perhaps."""
        hold = self.holds.get(attempt)
        if hold is None or hold.phase is Phase.STOPPING:
            return
        self.forget(attempt)
        if not hold.reporting:
            self._call_off(attempt, hold)

    def stop(
        self, attempt: AttemptKey, until_ms: int, cancel: AttemptCancel, done: Stopped
    ) -> None:
        """Has the worker stop; ``done`` is called when it has, or when a time is over."""
        hold = self.holds.get(attempt)
        if hold is not None and hold.number is None:
            # It never left.
            self._withdraw(attempt)
            done()
            return
        known = hold is not None
        hold = self.holds.put(attempt, Phase.STOPPING, until_ms)
        hold.stopped, hold.cancel = done, cancel
        if not known:
            hold.number = 0
        self.due_ms = min(self.due_ms, until_ms)
        if self.session is not None:
            self.session.outbox.cancel(attempt, cancel)

    def acknowledged(self, attempt: AttemptKey, *, reported: bool = False) -> None:
        """The worker took an attempt; ``reported`` says that it reports on it, too."""
        hold = self.holds.get(attempt)
        if hold is None:
            if not reported:
                self.disown(attempt)
        elif hold.phase in (Phase.GIVEN, Phase.UNSURE):
            self.holds.put(attempt, Phase.TAKEN)
            if not reported:
                self._deeds.accept(attempt)

    def stopped(self, attempt: AttemptKey) -> None:
        """The worker stopped an attempt, or has ended it."""
        hold = self.holds.get(attempt)
        if hold is not None and hold.phase is Phase.STOPPING:
            self.forget(attempt)

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
                hold = self.holds.get(attempt)
                if hold is not None:
                    hold.number = session.sent
                if hold is not None and hold.phase is Phase.GIVEN:
                    # Until now the worker could not acknowledge it.
                    self.holds.put(attempt, Phase.GIVEN, now_ms + self._rules.acknowledge_ms)
            session.end_reports(parcel.acknowledged)
        if self.session is session:
            self._check_room(session)
        return parcel

    def tick(self, now_ms: int, *, draining: bool) -> None:
        """Lets time pass.

        Args:
            now_ms: The time.
            draining: Whether the worker gets no more, on an operator's word.
        """
        for attempt in self.holds.overdue(Phase.GIVEN, now_ms):
            hold = self.give_back(attempt, _TOOK_BACK)
            self._call_off(attempt, hold)
        for attempt in self.holds.overdue(Phase.STOPPING, now_ms):
            self.forget(attempt)
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
            self._lose_all(_GONE)
        times = (self.holds.due_ms(), session.due_ms if session else None, self._lost_ms or None)
        self.due_ms = min((at_ms for at_ms in times if at_ms is not None), default=2**63)

    def pass_over(self, gap_ms: int) -> None:
        """Takes a time out of account in which nobody listened to the worker."""
        if self.session is not None:
            self.session.heard_ms += gap_ms
        self.holds.put_off(Phase.GIVEN, gap_ms)
        if self._lost_ms:
            self._lost_ms += gap_ms
        self.due_ms = 0

    def give_back(self, attempt: AttemptKey, reason: str) -> Hold | None:
        """Gives an attempt up that the worker never took; returns what it had of it."""
        hold = self.forget(attempt)
        self._deeds.give_back(attempt, reason)
        return hold

    def lose(self, attempt: AttemptKey, reason: str) -> None:
        """Gives an attempt up that the worker had taken."""
        self.forget(attempt)
        self._deeds.lose(attempt, reason)

    def disown(self, attempt: AttemptKey) -> None:
        """Has the worker stop an attempt that is none of its own."""
        if self.session is not None:
            reason, text = AttemptCancel.NOT_YOURS, "the gateway does not know that you have it"
            self.session.outbox.cancel(
                attempt, AttemptCancel(attempt=ref(attempt), reason=reason, text=text)
            )

    def forget(self, attempt: AttemptKey) -> Hold | None:
        """Lets go of an attempt: it is none of the worker's any more; returns what it had of it."""
        hold = self.holds.remove(attempt)
        if self.session is not None:
            self.session.chunks.discard(attempt)
        if hold is not None and hold.stopped is not None:
            done, hold.stopped = hold.stopped, None
            done()
        return hold

    def beat(self, session: Session, *, list_wanted: bool = False) -> None:
        """Sends a heartbeat, which may ask for a list of what the worker holds."""
        count, told = self.holds.told()
        session.listing = session.listing or list_wanted
        session.outbox.beat(GatewayHeartbeat(held_count=count, held_hash=told, list=list_wanted))

    def _lose_all(self, reason: str) -> None:
        for attempt, hold in self.holds:
            if hold.phase is Phase.GIVEN:
                self.give_back(attempt, reason)
            elif hold.phase is Phase.STOPPING:
                self.forget(attempt)
            else:
                self.lose(attempt, reason)

    def _call_off(self, attempt: AttemptKey, hold: Hold | None) -> None:
        """Has the worker let go of an attempt that is none of its own any more."""
        if hold is not None and hold.number is None:
            self._withdraw(attempt)
        else:
            self.disown(attempt)

    def _withdraw(self, attempt: AttemptKey) -> None:
        self.holds.remove(attempt)
        if self.session is not None and self.session.outbox.withdraw(attempt):
            self._lines.withdraw(self.server_id)
            self._check_room(self.session)

    def _check_room(self, session: Session) -> None:
        clogged = session.outbox.unsent_bytes > self._rules.unsent_bytes
        self._lines.clog(self.server_id, clogged=clogged)
