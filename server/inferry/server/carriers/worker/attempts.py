"""The attempts that one worker has: what becomes of each, as it comes, is taken, stops or ends.

What that means for tasks goes to ``deeds``, for routing to ``lines``, for the worker to the outbox
of the stream that it has.
"""

from collections.abc import Iterable

from inferry.server.carriers.worker.deeds import Deeds
from inferry.server.carriers.worker.holds import Hold, Holds, Phase, Stopped, ref
from inferry.server.carriers.worker.rules import REFS_LIMIT, WorkerRules
from inferry.server.carriers.worker.session import Session
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.lines import Lines
from inferry.v1.worker_pb2 import Assignment, AttemptCancel

_TOOK_BACK = "the worker did not acknowledge it in time"
_NEVER_SENT = "the worker's stream ended before it got the task"


class Attempts:
    """What a worker of this gateway holds.

    Args:
        server_id: Which worker.
        rules: The numbers.
        lines: What routing knows of its stream.
        deeds: What its words do to tasks.
    """

    def __init__(self, server_id: str, rules: WorkerRules, lines: Lines, deeds: Deeds) -> None:
        self._server_id = server_id
        self._rules = rules
        self._lines = lines
        self._deeds = deeds
        self.holds = Holds()
        #: The worker's stream; None while it has none.
        self.session: Session | None = None
        #: When there is something to do by itself, or earlier.
        self.due_ms = 0
        #: What the worker had when nobody here knew of it; the latest.
        self._disowned: dict[AttemptKey, None] = {}

    def adopt(self, attempt: AttemptKey, *, taken: bool) -> None:
        """Takes up an attempt that the worker has from another gateway, or one that stopped."""
        if not taken and attempt in self._disowned:
            taken = True
            # Also for the gateway that it comes to next.
            self._deeds.accept(attempt)
        self.holds.put(attempt, Phase.TAKEN if taken else Phase.UNSURE).number = 0

    def attach(self, session: Session, held: Iterable[AttemptKey]) -> None:
        """Goes on with what the worker says that it still works on, on a stream that it opened."""
        self.session = session
        for attempt in held:
            self.acknowledged(attempt)
        for attempt, hold in self.holds:
            if hold.cancel is not None:
                session.outbox.cancel(attempt, hold.cancel)

    def cut(self) -> None:
        """The stream ended: what had not left on it is given back."""
        self.session = None
        for attempt, hold in self.holds:
            if hold.number is None:
                self.give_back(attempt, _NEVER_SENT)
            else:
                hold.number = 0

    def doubt(self) -> None:
        """The word that one was taken may have been cut off with the stream."""
        for attempt, hold in self.holds:
            if hold.phase is Phase.GIVEN:
                self.holds.put(attempt, Phase.UNSURE)

    def clear(self) -> None:
        """Lets go of all: the worker was taken out of the list, and others end that."""
        for attempt, _ in self.holds:
            self.forget(attempt)

    def assign(self, attempt: AttemptKey, assignment: Assignment, now_ms: int) -> None:
        """Gives an attempt to the stream, if there is one and it has credit left."""
        session = self.session
        if session is not None:
            # One that is to end may not have been turned yet.
            self._lines.turn(self._server_id, session.connection)
        if not self._lines.assign(self._server_id, attempt) or session is None:
            self._deeds.give_back(attempt, _NEVER_SENT)
            return
        self._put(attempt, Phase.GIVEN, now_ms + self._rules.acknowledge_ms)
        session.outbox.assign(attempt, assignment)
        self.check_room()

    def left(self, attempt: AttemptKey, number: int, now_ms: int) -> None:
        """An attempt left on the stream, as its assignment of this number."""
        hold = self.holds.get(attempt)
        if hold is None:
            return
        hold.number = number
        if hold.phase is Phase.GIVEN:
            # Until now the worker could not acknowledge it.
            self.holds.put(attempt, Phase.GIVEN, now_ms + self._rules.acknowledge_ms)

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
        hold = self._put(attempt, Phase.STOPPING, until_ms)
        hold.stopped, hold.cancel = done, cancel
        if not known:
            hold.number = 0
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

    def hears(self, attempt: AttemptKey) -> bool:
        """Whether the worker may say something of an attempt, or has just done so."""
        hold = self.holds.get(attempt)
        return hold is not None and (self.session is not None or hold.reporting > 0)

    def tick(self, now_ms: int) -> None:
        """Lets time pass: takes back what nobody took, and waits no longer for what stops."""
        for attempt in self.holds.overdue(Phase.GIVEN, now_ms):
            hold = self.give_back(attempt, _TOOK_BACK)
            self._call_off(attempt, hold)
        for attempt in self.holds.overdue(Phase.STOPPING, now_ms):
            # Its result may be on its way, in parts, and is kept if it comes at last.
            self.forget(attempt, with_parts=False)
        self.due_ms = self.holds.due_ms()

    def give_back(self, attempt: AttemptKey, reason: str) -> Hold | None:
        """Gives an attempt up that the worker never took; returns what it had of it."""
        hold = self.forget(attempt)
        self._deeds.give_back(attempt, reason)
        return hold

    def lose(self, attempt: AttemptKey, reason: str) -> None:
        """Gives an attempt up that the worker had taken."""
        self.forget(attempt)
        self._deeds.lose(attempt, reason)

    def lose_all(self, reason: str) -> None:
        """Gives all up: the worker left, began anew, or is gone."""
        for attempt, hold in self.holds:
            if hold.phase is Phase.GIVEN:
                self.give_back(attempt, reason)
            elif hold.phase is Phase.STOPPING:
                self.forget(attempt)
            else:
                self.lose(attempt, reason)

    def disown(self, attempt: AttemptKey) -> None:
        """Has the worker stop an attempt that is none of its own.

        One that does not read is not told of more and more: its next list names what is left.
        """
        self._disowned[attempt] = None
        if len(self._disowned) > REFS_LIMIT:
            del self._disowned[next(iter(self._disowned))]
        if self.session is not None and self.session.outbox.cancels < REFS_LIMIT:
            reason, text = AttemptCancel.NOT_YOURS, "the gateway does not know that you have it"
            self.session.outbox.cancel(
                attempt, AttemptCancel(attempt=ref(attempt), reason=reason, text=text)
            )

    def forget(self, attempt: AttemptKey, *, with_parts: bool = True) -> Hold | None:
        """Lets go of an attempt: it is none of the worker's any more; returns what it had of it.

        Args:
            attempt: Which one.
            with_parts: Also of the parts of its result that have come.
        """
        hold = self.holds.remove(attempt)
        if self.session is not None and with_parts:
            self.session.chunks.discard(attempt)
        if hold is not None and hold.stopped is not None:
            done, hold.stopped = hold.stopped, None
            done()
        return hold

    def check_room(self) -> None:
        """Tells routing whether there is room for more on the stream."""
        if self.session is not None:
            clogged = self.session.outbox.unsent_bytes > self._rules.unsent_bytes
            self._lines.clog(self._server_id, clogged=clogged)

    def _put(self, attempt: AttemptKey, phase: Phase, due_ms: int) -> Hold:
        self.due_ms = min(self.due_ms, due_ms)
        return self.holds.put(attempt, phase, due_ms)

    def _call_off(self, attempt: AttemptKey, hold: Hold | None) -> None:
        """Has the worker let go of an attempt that is none of its own any more."""
        if hold is not None and hold.number is None:
            self._withdraw(attempt)
        else:
            self.disown(attempt)

    def _withdraw(self, attempt: AttemptKey) -> None:
        self.holds.remove(attempt)
        if self.session is not None and self.session.outbox.withdraw(attempt):
            self._lines.withdraw(self._server_id)
            self.check_room()
