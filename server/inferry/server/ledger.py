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
from inferry.server.lifecycle import Transition
from inferry.server.routing import Share, route_of
from inferry.server.signals import Signals
from inferry.server.store import Claimed, Result, Store
from inferry.server.task import AttemptOutcome, EventKind, Outcome, TaskRecord

_log = structlog.get_logger(__name__)


class Carrier(Protocol):
    """Brings attempts to their servers."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Brings the open attempt of a task to its server."""
        ...

    def drop(self, record: TaskRecord) -> None:
        """Lets go of an attempt that has ended."""
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
            self.fleet.hold(record.server_id or "", record.spec.id)

    def free_server(self, record: TaskRecord, now_ms: int) -> str | None:
        """Picks a server for a new task; None if it has to wait, or to let others go first."""
        route = route_of(record.spec.type, record.spec.capabilities)
        if self.carrier is None or record.not_before_ms > now_ms or route in self.backlog.routes:
            return None
        return self.fleet.choose(route, now_ms)

    def created_waiting(self, result: TaskRecord | InferryError) -> None:
        """A task was added to the queue."""
        if not isinstance(result, InferryError):
            self.backlog.enter(result.spec)
            self.claimable.set()
            self._announce(result)

    def created_claimed(
        self, result: TaskRecord | InferryError, held: TaskRecord, payload: bytes
    ) -> None:
        """A task was added with its first attempt; ``held`` is whose slot was taken for it."""
        if isinstance(result, InferryError):
            self.fleet.free(held.server_id or "", held.spec.id)
        else:
            self._dispatch(result, payload)

    def claimed(self, result: list[Claimed] | InferryError, share: Share) -> None:
        """Waiting tasks were claimed for a server whose slots were reserved."""
        self.fleet.reserve(share.server_id, -share.slots)
        for claimed in [] if isinstance(result, InferryError) else result:
            record = claimed.transition.record
            self.backlog.leave(record.spec)
            self.fleet.hold(share.server_id, record.spec.id)
            self._dispatch(record, claimed.payload)

    def changed(self, result: Result) -> None:
        """A task changed, or the change was refused."""
        if not isinstance(result, Transition):
            return
        record, closed, kind = result.record, result.closed, result.event.kind
        if closed is not None:
            self.fleet.free(closed.server_id, record.spec.id)
            if closed.outcome not in (AttemptOutcome.REFUSED, AttemptOutcome.ABORTED):
                succeeded = closed.outcome is AttemptOutcome.SUCCEEDED
                now = self._clock.now_ms()
                self.fleet.note_attempt(closed.server_id, now, succeeded=succeeded)
            if self.carrier is not None:
                self.carrier.drop(record)
        elif kind is EventKind.FINISHED:
            self.backlog.leave(record.spec)
        if kind in (EventKind.REQUEUED, EventKind.RETRIED):
            self.backlog.enter(record.spec)
        if self.backlog.routes:
            self.claimable.set()
        self._announce(record, result.outcome)

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
