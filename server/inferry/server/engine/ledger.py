"""Keeps what is in memory in step with what is on disk.

Slots, the count of the queue and the watchers' bells follow commits, never the other way round.
The engine calls in the order of the commits.
"""

from collections.abc import Sequence
from functools import partial

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.carrier import Carrier, NoCarrier
from inferry.server.engine.signals import Signals
from inferry.server.errors import InferryError, QueueFullError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.free_slots import FreeSlots
from inferry.server.queue.backlog import Backlog
from inferry.server.store import Store
from inferry.server.store.operations import Claimed, Replayed, Result
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, AttemptOutcome, EventKind, Outcome, TaskRecord
from inferry.server.task.reports import STOPPED
from inferry.server.task.route import route_of
from inferry.server.task.steps import Transition

_log = structlog.get_logger(__name__)


class Ledger:
    """Slots, queue and watchers of this gateway: nobody else changes them.

    Args:
        fleet: The servers and their slots.
        backlog: What waits.
        signals: Who waits for news of a task.
        alarm: Is told of each deadline.
        clock: The time.
    """

    def __init__(
        self, *, fleet: Fleet, backlog: Backlog, signals: Signals, alarm: Alarm, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._backlog = backlog
        self._signals = signals
        self._alarm = alarm
        self._clock = clock
        self._carrier: Carrier = NoCarrier()
        #: Whether tasks are given to servers.
        self._open = False
        #: Set when a waiting task may find a free slot.
        self._claimable = fleet.claimable

    async def load(self, store: Store) -> None:
        """Takes up what the store knows, after a start."""
        for server in await store.servers():
            self._fleet.put(server)
        for paused in await store.paused_types():
            self._backlog.pause(paused)
        for record in await store.waiting():
            self._backlog.enter(record)
        for record in await store.held():
            self._fleet.hold(record.server_id or "", record.spec.id, record.attempt)

    def open(self, carrier: Carrier) -> None:
        """Begins to give tasks to servers; ``carrier`` brings them there."""
        self._carrier, self._open = carrier, True
        self.wake()

    def close(self) -> None:
        """Gives no more tasks to servers, and has none told to stop."""
        self._carrier, self._open = NoCarrier(), False

    def stop_again(self, task_id: str, closed: Attempt) -> None:
        """Goes on with stopping an attempt that may have been told so before a start."""
        self._fleet.hold(closed.server_id, task_id, closed.number)
        self._stop(task_id, closed)

    def wake(self) -> None:
        """Has the scheduler look whether a waiting task finds a free slot."""
        self._claimable.set()

    async def woken(self) -> None:
        """Waits until the scheduler should look."""
        await self._claimable.wait()

    def next_due_ms(self, now_ms: int) -> int | None:
        """Tells when it should look by itself: a delayed task or a resting server is due then."""
        due = (self._fleet.next_rested_ms(now_ms), self._backlog.next_due_ms())
        return min((at_ms for at_ms in due if at_ms is not None), default=None)

    def allocate(self, now_ms: int, limit: int) -> dict[str, list[str]]:
        """Gives tasks that are due to servers, whose slots are reserved for them.

        Returns:
            Ids of tasks by server; each of these claims has to come back by ``claimed``.
        """
        # Before looking: whatever changes after this makes another round.
        self._claimable.clear()
        self._backlog.wake(now_ms)
        if not self._open:
            return {}
        slots = FreeSlots(self._fleet, now_ms)
        given = self._backlog.allocate(slots.suit, slots.take, now_ms, limit)
        for server_id, task_ids in given.items():
            self._fleet.reserve(server_id, len(task_ids))
        if sum(map(len, given.values())) == limit:
            self.wake()
        return given

    def free_server(self, record: TaskRecord, now_ms: int) -> str | None:
        """Picks a server for a new task; None if it has to wait, or to let others go first."""
        spec, backlog = record.spec, self._backlog
        route = route_of(spec.type, spec.capabilities)
        if not self._open or record.not_before_ms > now_ms or backlog.paused(spec.type):
            return None
        # When the scheduler is about to look, free slots may be for those that wait.
        if backlog.waits(route) or (backlog.ready and self._claimable.is_set()):
            return None
        return self._fleet.choose(route, now_ms)

    def refusal(self, tenant: str) -> QueueFullError | None:
        """Tells why another task of a tenant may not wait; None when there is room."""
        return self._backlog.refusal(tenant)

    def paused_now(self, task_type: str) -> bool:
        """Whether the tasks of a type are held back."""
        return self._backlog.paused(task_type)

    def expect(self, tenant: str) -> None:
        """Keeps room for a task that is being created and will wait: see ``created_waiting``."""
        self._backlog.expect(tenant)

    def hold(self, record: TaskRecord) -> None:
        """Takes a slot for a task that is being created with its attempt: ``created_claimed``."""
        self._fleet.hold(record.server_id or "", record.spec.id, record.attempt)

    def created_waiting(self, result: TaskRecord | Replayed | InferryError, tenant: str) -> None:
        """A task was added to the queue, where room was kept for it."""
        self._backlog.expect(tenant, -1)
        if isinstance(result, TaskRecord):
            self._backlog.enter(result)
            self.wake()
            self._announce(result)

    def created_claimed(
        self, result: TaskRecord | Replayed | InferryError, held: TaskRecord, payload: bytes
    ) -> None:
        """A task was added with its first attempt; ``held`` is whose slot was taken for it."""
        if isinstance(result, TaskRecord):
            self._dispatch(result, payload)
        else:
            self._free(held.server_id or "", held.spec.id, held.attempt)

    def claimed(
        self, result: list[Claimed] | InferryError, server_id: str, task_ids: Sequence[str]
    ) -> None:
        """Waiting tasks were claimed for a server whose slots were reserved."""
        self._fleet.reserve(server_id, -len(task_ids))
        given = [] if isinstance(result, InferryError) else result
        for claimed in given:
            record = claimed.transition.record
            self._backlog.leave(record.spec.id, started=True)
            self._fleet.hold(server_id, record.spec.id, record.attempt)
            self._dispatch(record, claimed.payload)
        self._backlog.settle(task_ids, failed=isinstance(result, InferryError))
        if len(given) < len(task_ids):
            self._wake_waiting()

    def changed(self, result: Result) -> None:
        """A task changed, or the change was refused."""
        if not isinstance(result, Transition):
            return
        record, closed, kind = result.record, result.closed, result.event.kind
        if closed is not None:
            self._ended(record, closed)
        elif kind is EventKind.FINISHED:
            self._backlog.leave(record.spec.id, started=False)
        if kind in (EventKind.REQUEUED, EventKind.RETRIED):
            self._backlog.enter(record)
            self.wake()
        self._announce(record, result.outcome)

    def reported(self, result: Result) -> None:
        """A server reported on a task: the task changed, or the report told nothing new."""
        self.changed(result)
        if isinstance(result, Transition | TaskRecord):
            record = result.record if isinstance(result, Transition) else result
            self._fleet.seen(record.server_id or "", self._clock.now_ms())
            if record.status in STOPPED:
                self._carrier.confirm(record.spec.id, record.attempt)

    def purged(self, result: int | InferryError) -> None:
        """Final tasks were dropped: nothing in memory was theirs."""
        if isinstance(result, int) and result:
            _log.info("purged", tasks=result)

    def postponed(self, result: int | InferryError) -> None:
        """Deadlines were put off: they are read where they are stored."""
        if isinstance(result, int) and result:
            _log.info("deadlines postponed", tasks=result)

    def pause(self, paused: PausedType) -> PausedType | None:
        """Holds the tasks of a type back from now on; returns the pause that this replaces."""
        before = self._backlog.pause_of(paused.type)
        self._backlog.pause(paused)
        return before

    def paused(
        self, result: InferryError | None, paused: PausedType, before: PausedType | None
    ) -> None:
        """A type was paused. One that is not on disk is taken back, unless another came since."""
        if result is None or self._backlog.pause_of(paused.type) is not paused:
            return
        if before is not None:
            self._backlog.pause(before)
        else:
            self.resumed(None, paused.type)

    def resumed(self, result: InferryError | None, task_type: str) -> None:
        """A pause was ended."""
        if result is None:
            self._backlog.resume(task_type)
            self.wake()

    def _ended(self, record: TaskRecord, closed: Attempt) -> None:
        """An attempt has ended; its slot is free at once or, when it was stopped, once it did."""
        if closed.outcome not in (AttemptOutcome.REFUSED, AttemptOutcome.ABORTED):
            succeeded = closed.outcome is AttemptOutcome.SUCCEEDED
            self._fleet.note_attempt(closed.server_id, succeeded=succeeded)
        self._carrier.drop(record, closed)
        if record.status in STOPPED and not record.digest:
            self._stop(record.spec.id, closed)
        else:
            # Nobody told the server to end it, or it was the server's own word.
            self._free(closed.server_id, record.spec.id, closed.number)

    def _stop(self, task_id: str, closed: Attempt) -> None:
        free = partial(self._free, closed.server_id, task_id, closed.number)
        self._carrier.stop(task_id, closed, free)

    def _free(self, server_id: str, task_id: str, attempt: int) -> None:
        """A slot is free: its attempt never came about, or its server does no more for it."""
        self._fleet.free(server_id, task_id, attempt)
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        if self._backlog.ready:
            self.wake()

    def _dispatch(self, record: TaskRecord, payload: bytes) -> None:
        self._carrier.carry(record, payload)
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
        self._alarm.note(record.deadline_ms)
        self._signals.ring(record, outcome)
