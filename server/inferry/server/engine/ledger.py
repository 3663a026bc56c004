"""Keeps what is in memory in step with what is on disk.

Slots, counts and watchers' bells follow commits in their order, never the other way round.
"""

from collections.abc import Callable, Sequence
from functools import partial

from inferry.server.clock import Clock
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.announcer import Announcer
from inferry.server.engine.carrier import Carrier, NoCarrier
from inferry.server.engine.reads import Reads
from inferry.server.engine.stops import Stops
from inferry.server.engine.tally import NoTally, Tally
from inferry.server.engine.tracing import note_trace
from inferry.server.errors import InferryError, NotOwnerError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.owners import Owners
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room
from inferry.server.store import Store
from inferry.server.store.operations import Claimed, Replayed, Result, RoomFor
from inferry.server.task.lifecycle import STOPPED
from inferry.server.task.record import Attempt, AttemptOutcome, EventKind, Outcome, TaskRecord
from inferry.server.task.steps import Transition


class Ledger:
    """Slots, queue and watchers of this gateway: nobody else changes them.

    Args:
        fleet: The servers and their slots.
        backlog: What waits.
        room: Whether more may.
        pauses: The types that are held back.
        allocator: Is told when it should look.
        announcer: Tells of each change.
        clock: The time.
        tally: Counts them; None for nobody.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        backlog: Backlog,
        room: Room,
        pauses: PausedTypes,
        allocator: Allocator,
        announcer: Announcer,
        clock: Clock,
        tally: Tally | None = None,
    ) -> None:
        #: Reads that what is in memory is to follow.
        self.reads = Reads()
        self._fleet = fleet
        self._owners = Owners(fleet)
        self._backlog = backlog
        self._room = room
        #: Decides whether another task of a tenant may wait.
        self.room: RoomFor = room.refusal
        self._pauses = pauses
        #: Whether the tasks of a type are held back.
        self.paused_now: Callable[[str], bool] = pauses.__contains__
        self._allocator = allocator
        self._announcer = announcer
        self._clock = clock
        self._tally: Tally = tally or NoTally()
        self._carrier: Carrier = NoCarrier()
        self.stops = Stops(clock)

    async def load(self, store: Store) -> None:
        """Takes up what the store knows, after a start."""
        for server in await store.servers():
            self._fleet.put(server)
        for paused in await store.paused_types():
            self._pauses.pause(paused)
        self._backlog.expect(await store.waiting_counts())
        for record in await store.running():
            self._fleet.take_slot(record.server_id or "", record.spec.id, record.attempt)

    def open(self, carrier: Carrier) -> None:
        """Begins to give tasks to servers; ``carrier`` brings them there."""
        self._carrier = carrier
        self._allocator.open()

    def close(self) -> None:
        """Gives no more tasks to servers, and has none told to stop."""
        self._carrier = NoCarrier()
        self._allocator.close()

    def stop_again(self, task_id: str, closed: Attempt) -> None:
        """Goes on with stopping an attempt that may have been told so before a start."""
        self._fleet.take_slot(closed.server_id, task_id, closed.number)
        self._stop(task_id, closed)

    def adopt(self, record: TaskRecord) -> None:
        """Takes up the open attempt of a task at an own server, which another replica began."""
        note_trace(record)
        self.take_slot(record)
        self._carrier.adopt(record)

    def take_slot(self, record: TaskRecord) -> None:
        """Takes a slot for a task that is being created with its attempt: ``created_claimed``."""
        self._fleet.take_slot(record.server_id or "", record.spec.id, record.attempt)

    def created_waiting(self, result: TaskRecord | Replayed | InferryError) -> None:
        """A task was added to the queue."""
        if isinstance(result, TaskRecord):
            self._tally.created(result)
            self.enter(result)
            self._announce(result)

    def created_claimed(
        self, result: TaskRecord | Replayed | InferryError, claimed: TaskRecord, payload: bytes
    ) -> None:
        """A task was added with its first attempt, whose slot ``claimed`` has, or without it."""
        if isinstance(result, TaskRecord) and result.running:
            self._tally.created(result)
            self._dispatch(result, payload)
            return
        self._free(claimed.server_id or "", claimed.spec.id, claimed.attempt)
        self.created_waiting(result)

    def claimed(
        self, result: list[Claimed] | InferryError, server_id: str, task_ids: Sequence[str]
    ) -> None:
        """Waiting tasks were claimed for a server whose slots were reserved."""
        self._fleet.reserve(server_id, -len(task_ids))
        claims = [] if isinstance(result, InferryError) else result
        if isinstance(result, NotOwnerError):
            self._owners.turn_over(server_id, None)
        for claimed in claims:
            record = claimed.transition.record
            self.leave(record, started=True)
            self._fleet.take_slot(server_id, record.spec.id, record.attempt)
            self._dispatch(record, claimed.payload)
        self._backlog.end_claim(task_ids, failed=isinstance(result, InferryError))
        if len(claims) < len(task_ids):
            self._allocator.slot_free()

    def changed(self, result: Result) -> None:
        """A task changed, or the change was refused."""
        if not isinstance(result, Transition):
            return
        record, closed, kind = result.record, result.closed, result.event.kind
        self._tally.changed(result)
        if closed is not None:
            self._ended(record, closed)
        elif kind is EventKind.FINISHED:
            self.leave(record, started=False)
        if kind in (EventKind.REQUEUED, EventKind.RETRIED):
            self.enter(record)
        # A late result is a part of what the task ended with, and not to be taken for all of it.
        self._announce(record, result.outcome if kind is EventKind.FINISHED else None)

    def reported(self, result: Result) -> None:
        """A server reported on a task: the task changed, or the report told nothing new."""
        closed = result.closed if isinstance(result, Transition) else None
        if closed is not None and closed.outcome is AttemptOutcome.REFUSED:
            # Before its slot is free: it is not to get the same task again at once, and again.
            self._fleet.note_return(closed.server_id, self._clock.now_ms())
        self.changed(result)
        if isinstance(result, InferryError):
            self._tally.refused(result)
        if isinstance(result, Transition | TaskRecord):
            record = result.record if isinstance(result, Transition) else result
            self._fleet.seen(record.server_id or "", self._clock.now_ms())
            if record.status in STOPPED:
                self.confirm(record.spec.id, record.attempt)
                self.stops.note(record.spec.id, record.attempt)

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop, whoever heard that."""
        self._carrier.confirm(task_id, attempt)

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        """Whether word of an attempt may come in though its server cannot call the gateway anew."""
        return self._carrier.hears(server_id, attempt)

    def enter(self, record: TaskRecord) -> None:
        """A task waits."""
        self._backlog.enter(record)
        self._allocator.wake()

    def hear(self, record: TaskRecord, *, started: bool) -> None:
        """Another replica changed a task."""
        self._backlog.hear(record, started=started)
        if record.waiting:
            self._allocator.wake()

    def leave(self, record: TaskRecord, *, started: bool) -> None:
        """A task does not wait any more."""
        self._backlog.leave(record.spec, started=started)
        self._room.note_left(record.spec.tenant)

    def holder(self, task_id: str, attempt: int) -> str | None:
        """Finds the own server that an attempt has a slot of; None if it has none.

        It is nameless if that is another replica's by now, and only the call is still under way.
        """
        own = (one.record.id for one in self._fleet.own_ones if (task_id, attempt) in one.holding)
        return next(own, "" if self._carrier.carries(task_id, attempt) else None)

    def ended_elsewhere(self, record: TaskRecord, closed: Attempt) -> None:
        """Another replica wrote down the end of an attempt; ``record`` is its task after that."""
        note_trace(record)
        member = self._fleet.get(closed.server_id)
        if member is not None and (record.spec.id, closed.number) in member.holding:
            self._ended(record, closed)
        else:
            # Its server is another replica's by now, and that has it stopped.
            self._carrier.drop(record, closed)

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
        self._fleet.free_slot(server_id, task_id, attempt)
        self._allocator.slot_free()

    def _dispatch(self, record: TaskRecord, payload: bytes) -> None:
        self._tally.started(record)
        self._carrier.carry(record, payload)
        self._announce(record)

    def _announce(self, record: TaskRecord, outcome: Outcome | None = None) -> None:
        if self.reads:
            # What others did before is passed over from now on, also that it waits no more.
            self.reads.note(record.spec.id, record.seq)
            if not record.waiting:
                self._backlog.hear(record, started=record.running)
        self._announcer.announce(record, outcome)
