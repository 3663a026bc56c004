"""Keeps what is in memory in step with what is on disk.

Slots, the count of the queue and the watchers' bells follow commits, never the other way round.
The engine calls in the order of the commits.
"""

import asyncio
from typing import Protocol

import structlog

from inferry.server.backlog import Backlog
from inferry.server.clock import Clock
from inferry.server.errors import InferryError
from inferry.server.fleet import Fleet
from inferry.server.reports import STOPPED
from inferry.server.routing import Share, route_of
from inferry.server.signals import Signals
from inferry.server.steps import Transition
from inferry.server.store import Claimed, Replayed, Result, Store
from inferry.server.task import Attempt, AttemptOutcome, EventKind, Outcome, TaskRecord

_log = structlog.get_logger(__name__)


class Carrier(Protocol):
    """Brings attempts to their servers."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Brings the open attempt of a task to its server."""
        ...

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Lets go of an attempt that has ended; gives its slot back if the task was stopped."""
        ...

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        ...


class Ledger:
    """Slots, queue and watchers of this gateway."""

    def __init__(self, fleet: Fleet, backlog: Backlog, signals: Signals, clock: Clock) -> None:
        self.fleet = fleet
        self.backlog = backlog
        self.signals = signals
        self._clock = clock
        #: Who brings attempts to servers; None while the gateway starts or stops: tasks wait.
        self.carrier: Carrier | None = None
        #: Set when a waiting task may find a free slot.
        self.claimable = asyncio.Event()

    async def load(self, store: Store) -> None:
        """Takes up what the store knows, after a start."""
        for server in await store.servers():
            self.fleet.put(server)
        for waiting in await store.backlog():
            self.backlog.add(waiting.route, waiting.tenant, waiting.count)
        for record in await store.held():
            self.fleet.hold(record.server_id or "", record.spec.id, record.attempt)

    def free_server(self, record: TaskRecord, now_ms: int) -> str | None:
        """Picks a server for a new task; None if it has to wait, or to let others go first."""
        route = route_of(record.spec.type, record.spec.capabilities)
        if self.carrier is None or record.not_before_ms > now_ms or route in self.backlog.routes:
            return None
        return self.fleet.choose(route, now_ms)

    def created_waiting(self, result: TaskRecord | Replayed | InferryError) -> None:
        """A task was added to the queue."""
        if isinstance(result, TaskRecord):
            self.backlog.enter(result.spec)
            self.claimable.set()
            self._announce(result)

    def created_claimed(
        self, result: TaskRecord | Replayed | InferryError, held: TaskRecord, payload: bytes
    ) -> None:
        """A task was added with its first attempt; ``held`` is whose slot was taken for it."""
        if isinstance(result, TaskRecord):
            self._dispatch(result, payload)
        else:
            self.release(held.server_id or "", held.spec.id, held.attempt)

    def claimed(self, result: list[Claimed] | InferryError, share: Share) -> None:
        """Waiting tasks were claimed for a server whose slots were reserved."""
        self.fleet.reserve(share.server_id, -share.slots)
        for claimed in [] if isinstance(result, InferryError) else result:
            record = claimed.transition.record
            self.backlog.leave(record.spec)
            self.fleet.hold(share.server_id, record.spec.id, record.attempt)
            self._dispatch(record, claimed.payload)

    def changed(self, result: Result) -> None:
        """A task changed, or the change was refused."""
        if not isinstance(result, Transition):
            return
        record, closed, kind = result.record, result.closed, result.event.kind
        if closed is not None:
            if record.status not in STOPPED or self.carrier is None:
                self.fleet.free(closed.server_id, record.spec.id, closed.number)
            if closed.outcome not in (AttemptOutcome.REFUSED, AttemptOutcome.ABORTED):
                succeeded = closed.outcome is AttemptOutcome.SUCCEEDED
                now = self._clock.now_ms()
                self.fleet.note_attempt(closed.server_id, now, succeeded=succeeded)
            if self.carrier is not None:
                self.carrier.drop(record, closed)
        elif kind is EventKind.FINISHED:
            self.backlog.leave(record.spec)
        if kind in (EventKind.REQUEUED, EventKind.RETRIED):
            self.backlog.enter(record.spec)
        if self.backlog.routes:
            self.claimable.set()
        self._announce(record, result.outcome)

    def heard(self, record: TaskRecord) -> None:
        """The server of a task's latest attempt reported on it."""
        self.fleet.seen(record.server_id or "", self._clock.now_ms())
        if record.status in STOPPED and self.carrier is not None:
            self.carrier.confirm(record.spec.id, record.attempt)

    def release(self, server_id: str, task_id: str, attempt: int) -> None:
        """A slot is free: its attempt never came about, or the server has stopped."""
        self.fleet.free(server_id, task_id, attempt)
        if self.backlog.routes:
            self.claimable.set()

    def _dispatch(self, record: TaskRecord, payload: bytes) -> None:
        if self.carrier is not None:
            self.carrier.carry(record, payload)
        self._announce(record)

    def _announce(self, record: TaskRecord, outcome: Outcome | None = None) -> None:
        say = _log.info if record.status.final else _log.debug
        say(
            "task",
            task_id=record.spec.id,
            status=record.status.name,
            seq=record.seq,
            attempt=record.attempt,
            server_id=record.server_id,
            code=record.code,
        )
        self.signals.ring(record, outcome)
