"""Keeps what is in memory in step with what is on disk.

Slots, the count of the queue and the watchers' bells follow commits, never the other way round.
The engine calls in the order of the commits.
"""

from collections.abc import Collection, Sequence

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.carrier import Carrier
from inferry.server.engine.signals import Place, Signals
from inferry.server.errors import InferryError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord
from inferry.server.queue.backlog import Backlog
from inferry.server.store import Claimed, Replayed, Result, Store
from inferry.server.task.pause import PausedType
from inferry.server.task.record import AttemptOutcome, EventKind, Outcome, TaskRecord
from inferry.server.task.reports import STOPPED
from inferry.server.task.route import route_of
from inferry.server.task.steps import Transition

_log = structlog.get_logger(__name__)


class Ledger:
    """Slots, queue and watchers of this gateway."""

    def __init__(self, fleet: Fleet, backlog: Backlog, signals: Signals, clock: Clock) -> None:
        self.fleet = fleet
        self.backlog = backlog
        self.signals = signals
        self._clock = clock
        #: Told of each deadline.
        self.alarm = Alarm(clock)
        #: Who brings attempts to servers; None while the gateway starts or stops: tasks wait.
        self.carrier: Carrier | None = None
        #: What servers had that were taken out of the list, until it is ended.
        self.orphans: dict[str, Collection[AttemptKey]] = {}
        #: Set when a waiting task may find a free slot.
        self.claimable = fleet.claimable

    async def load(self, store: Store) -> None:
        """Takes up what the store knows, after a start."""
        for server in await store.servers():
            self.fleet.put(server)
        for paused in await store.paused_types():
            self.backlog.pause(paused)
        for record in await store.waiting():
            self.backlog.enter(record)
        for record in await store.held():
            self.fleet.hold(record.server_id or "", record.spec.id, record.attempt)

    def free_server(self, record: TaskRecord, now_ms: int) -> str | None:
        """Picks a server for a new task; None if it has to wait, or to let others go first."""
        spec, backlog = record.spec, self.backlog
        route = route_of(spec.type, spec.capabilities)
        if self.carrier is None or record.not_before_ms > now_ms or backlog.paused(spec.type):
            return None
        # When the scheduler is about to look, free slots may be for those that wait.
        if backlog.waits(route) or (backlog.ready and self.claimable.is_set()):
            return None
        return self.fleet.choose(route, now_ms)

    def created_waiting(self, result: TaskRecord | Replayed | InferryError, tenant: str) -> None:
        """A task was added to the queue, where room was kept for it."""
        self.backlog.expect(tenant, -1)
        if isinstance(result, TaskRecord):
            self.backlog.enter(result)
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

    def claimed(
        self, result: list[Claimed] | InferryError, server_id: str, task_ids: Sequence[str]
    ) -> None:
        """Waiting tasks were claimed for a server whose slots were reserved."""
        self.fleet.reserve(server_id, -len(task_ids))
        given = [] if isinstance(result, InferryError) else result
        for claimed in given:
            record = claimed.transition.record
            self.backlog.leave(record.spec.id, started=True)
            self.fleet.hold(server_id, record.spec.id, record.attempt)
            self._dispatch(record, claimed.payload)
        self.backlog.settle(task_ids, failed=isinstance(result, InferryError))
        if len(given) < len(task_ids):
            self._look()

    def changed(self, result: Result) -> None:
        """A task changed, or the change was refused."""
        if not isinstance(result, Transition):
            return
        record, closed, kind = result.record, result.closed, result.event.kind
        if closed is not None:
            if record.status not in STOPPED or self.carrier is None:
                self.release(closed.server_id, record.spec.id, closed.number)
            if closed.outcome not in (AttemptOutcome.REFUSED, AttemptOutcome.ABORTED):
                succeeded = closed.outcome is AttemptOutcome.SUCCEEDED
                self.fleet.note_attempt(closed.server_id, succeeded=succeeded)
            if self.carrier is not None:
                self.carrier.drop(record, closed)
        elif kind is EventKind.FINISHED:
            self.backlog.leave(record.spec.id, started=False)
        if kind in (EventKind.REQUEUED, EventKind.RETRIED):
            self.backlog.enter(record)
            self.claimable.set()
        self._announce(record, result.outcome)

    def reported(self, result: Result) -> None:
        """A server reported on a task: the task changed, or the report told nothing new."""
        self.changed(result)
        if isinstance(result, Transition | TaskRecord):
            record = result.record if isinstance(result, Transition) else result
            self.fleet.seen(record.server_id or "", self._clock.now_ms())
            if record.status in STOPPED and self.carrier is not None:
                self.carrier.confirm(record.spec.id, record.attempt)

    def purged(self, result: int | InferryError) -> None:
        """Final tasks were dropped: nothing in memory was theirs."""
        if isinstance(result, int) and result:
            _log.info("purged", tasks=result)

    def postponed(self, result: int | InferryError) -> None:
        """Deadlines were put off: they are read where they are stored."""
        if isinstance(result, int) and result:
            _log.info("deadlines postponed", tasks=result)

    def registered(self, result: ServerRecord | InferryError, server_id: str) -> None:
        """A server was added, or its registration renewed; ``server_id`` is whose it was taken for.

        What the store says counts: if somebody else changed it there, that is another server.
        """
        self.fleet.keep(server_id, -1)
        if isinstance(result, InferryError):
            return
        before = self.fleet.find(result.url, result.name)
        if before is not None and before.record.id != result.id:
            self.dropped(None, before.record.id)
        self.fleet.put(result)
        self.fleet.leave(result.id, 0)
        _log.info("server", server_id=result.id, name=result.name, draining=result.draining)

    def drained(self, result: ServerRecord | InferryError, server_id: str) -> None:
        """A server was drained or resumed."""
        self.fleet.keep(server_id, -1)
        if isinstance(result, InferryError):
            return
        self.fleet.put(result)
        if not result.draining:
            self.fleet.leave(result.id, 0)
        _log.info("server", server_id=result.id, name=result.name, draining=result.draining)

    def dropped(self, result: InferryError | None, server_id: str) -> None:
        """A server was taken out of the list; what it still had is to be ended."""
        member = self.fleet.get(server_id)
        if isinstance(result, InferryError) or member is None:
            return
        self.fleet.drop(server_id)
        if member.holding:
            self.orphans[server_id] = frozenset(member.holding)
        _log.info("server deregistered", server_id=server_id)

    def buried(self, server_id: str) -> None:
        """What a server had that was taken out of the list is ended."""
        del self.orphans[server_id]

    def paused(
        self, result: InferryError | None, paused: PausedType, before: PausedType | None
    ) -> None:
        """A type was paused. One that is not on disk is taken back, unless another came since."""
        if result is None or self.backlog.pause_of(paused.type) is not paused:
            return
        if before is not None:
            self.backlog.pause(before)
        else:
            self.resumed(None, paused.type)

    def resumed(self, result: InferryError | None, task_type: str) -> None:
        """A pause was ended."""
        if result is None:
            self.backlog.resume(task_type)
            self.claimable.set()

    def place_of(self, record: TaskRecord) -> Place | None:
        """Tells where a task stands in the queue; None if it does not wait for its turn."""
        return self.places_of([record]).get(record.spec.id)

    def places_of(self, records: Collection[TaskRecord]) -> dict[str, Place]:
        """Tells where tasks stand in the queue, by id: of those that wait for their turn."""
        now = self._clock.now_ms()
        places: dict[str, Place] = {}
        for record, position in self.backlog.positions_of(records, now):
            wait_ms = self.backlog.eta_ms(record, position)
            places[record.spec.id] = Place(position, 0 if wait_ms is None else now + wait_ms)
        return places

    def release(self, server_id: str, task_id: str, attempt: int) -> None:
        """A slot is free: its attempt never came about, or the server has stopped."""
        self.fleet.free(server_id, task_id, attempt)
        self._look()

    def _look(self) -> None:
        """Has the scheduler look, if anything waits."""
        if self.backlog.ready:
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
        self.alarm.note(record.deadline_ms)
        self.signals.ring(record, outcome)
