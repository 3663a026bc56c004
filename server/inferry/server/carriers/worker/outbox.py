"""What is to be said to one worker, until it leaves: a message carries as much as fits."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from inferry.server.carriers.worker.rules import WorkerRules
from inferry.server.fleet.lease import AttemptKey
from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptCancel,
    GatewayHeartbeat,
    GatewayMessage,
    Reconnect,
    ReportAck,
    WorkerWelcome,
)

#: Cancels, or acknowledgements, a message.
_WORDS_LIMIT = 256


@dataclass(slots=True)
class Parcel:
    """A message that leaves, and what in it counts."""

    message: GatewayMessage = field(default_factory=GatewayMessage)
    #: The assignments in it, in their order.
    assigned: list[AttemptKey] = field(default_factory=list)
    #: Reports that it acknowledges.
    acknowledged: int = 0
    #: Bytes in it, nearly.
    size: int = 0


class Outbox:
    """Gathers what is to be said; ``take`` gives the next message. Whoever has the stream sends it.

    Args:
        rules: How much a message carries.
    """

    def __init__(self, rules: WorkerRules) -> None:
        self._rules = rules
        #: Set when there is something to send, or the stream is to end.
        self.changed = asyncio.Event()
        #: Whether no work leaves now, while everything else does.
        self.closed = False
        self._first: WorkerWelcome | None = None
        self._assignments: dict[AttemptKey, Assignment] = {}
        self._cancels: dict[AttemptKey, AttemptCancel] = {}
        self._acks: deque[ReportAck] = deque()
        self._heartbeat: GatewayHeartbeat | None = None
        self._draining: bool | None = None
        self._reconnect: Reconnect | None = None
        #: Bytes of assignments that have not left; those of the message under way included.
        self.unsent_bytes = 0
        self._leaving_bytes = 0

    def welcome(self, welcome: WorkerWelcome) -> None:
        """Is to send the answer to the hello, before all else."""
        self._first = welcome
        self.changed.set()

    def assign(self, attempt: AttemptKey, assignment: Assignment) -> None:
        """Is to send work."""
        self._assignments[attempt] = assignment
        self.unsent_bytes += assignment.ByteSize()
        self.changed.set()

    def withdraw(self, attempt: AttemptKey) -> bool:
        """Takes work back; False if it has left."""
        assignment = self._assignments.pop(attempt, None)
        if assignment is None:
            return False
        self.unsent_bytes -= assignment.ByteSize()
        return True

    def cancel(self, attempt: AttemptKey, cancel: AttemptCancel) -> None:
        """Is to have an attempt stopped."""
        self._cancels[attempt] = cancel
        self.changed.set()

    @property
    def cancels(self) -> int:
        """Attempts that are to be stopped, and of which that has not left."""
        return len(self._cancels)

    def acknowledge(self, ack: ReportAck) -> None:
        """Is to tell what became of a report."""
        self._acks.append(ack)
        self.changed.set()

    def beat(self, heartbeat: GatewayHeartbeat) -> None:
        """Is to send a heartbeat in place of one that has not left; a wish for a list stays."""
        if self._heartbeat is not None and self._heartbeat.list:
            heartbeat.list = True
        self._heartbeat = heartbeat
        self.changed.set()

    def drain(self, *, draining: bool) -> None:
        """Is to tell whether the worker gets more work."""
        self._draining = draining
        self.changed.set()

    def reconnect(self, reconnect: Reconnect) -> None:
        """Is to tell the worker to open another stream, after all else."""
        self._reconnect = reconnect
        self.changed.set()

    def take(self) -> Parcel | None:
        """Gives the next message, once the one before has left; None if there is nothing to say."""
        self.unsent_bytes -= self._leaving_bytes
        self._leaving_bytes = 0
        parcel = Parcel()
        message = parcel.message
        if self._first is not None:
            message.welcome.CopyFrom(self._first)
            self._first = None
        if self._draining is not None:
            message.draining = self._draining
            self._draining = None
        self._fill(parcel)
        if self._heartbeat is not None:
            message.heartbeat.CopyFrom(self._heartbeat)
            self._heartbeat = None
        if self._reconnect is not None and not self._waits:
            message.reconnect.CopyFrom(self._reconnect)
            self._reconnect = None
        return parcel if message.ListFields() else None

    @property
    def _waits(self) -> bool:
        work = bool(self._assignments) and not self.closed
        return work or bool(self._acks or self._cancels)

    def _fill(self, parcel: Parcel) -> None:
        message, room = parcel.message, self._rules.message_bytes
        while self._acks and parcel.acknowledged < _WORDS_LIMIT and parcel.size < room:
            ack = self._acks.popleft()
            message.report_acks.append(ack)
            parcel.acknowledged += 1
            parcel.size += ack.ByteSize()
        while self._cancels and len(message.cancels) < _WORDS_LIMIT and parcel.size < room:
            cancel = self._cancels.pop(next(iter(self._cancels)))
            message.cancels.append(cancel)
            parcel.size += cancel.ByteSize()
        work = {} if self.closed else self._assignments
        while work and len(parcel.assigned) < self._rules.message_items:
            attempt, assignment = next(iter(work.items()))
            size = assignment.ByteSize()
            if parcel.size and parcel.size + size > room:
                break
            del work[attempt]
            message.assignments.append(assignment)
            parcel.assigned.append(attempt)
            parcel.size += size
            self._leaving_bytes += size
