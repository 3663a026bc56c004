"""The use cases that only read: get, wait, watch, list, attempts."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inferry.server.engine.board import Board
from inferry.server.engine.listing import Lists
from inferry.server.engine.signals import Place, Signal, Signals
from inferry.server.errors import PurgedError, TaskNotFoundError, UnavailableError
from inferry.server.loop import wait_for
from inferry.server.store import Store, TaskFilter
from inferry.server.task.record import Attempt, AttemptOutcome, Event, Outcome, Status, TaskRecord
from inferry.server.task.steps import misreported

WATCH_STEP = 100
#: When a watcher may come back: somebody else is there by then.
_AGAIN_S = 1.0
_NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a watch."""

    #: Sequence number that the watcher has reached with it.
    seq: int
    #: None is a gap: older events are no longer kept, and ``record`` is the task as it is now.
    event: Event | None
    #: The task: on a gap and on the event that ended it.
    record: TaskRecord | None = None
    #: Where it stands in the queue: then this is no event, and ``seq`` that of the last one.
    place: Place | None = None


class Reader:
    """All that can be read of tasks."""

    def __init__(self, store: Store, signals: Signals, board: Board) -> None:
        self._store = store
        self.lists = Lists(store)
        self._board = board
        self._signals = signals
        #: In the order in which they came, so that they are answered in it.
        self._waits: dict[asyncio.Timeout, None] = {}
        self._hurried = False
        #: Those who wait for an end without a time.
        self._patient: dict[Signal, None] = {}
        self._nobody_patient = asyncio.Event()
        self._nobody_patient.set()

    def hurry(self) -> None:
        """Answers those who wait for a time with the task as it is, now and from now on."""
        self._hurried = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0.0)

    async def until_served(self, within_s: float) -> None:
        """Waits until nobody waits for an end without a time, or until that time is over."""
        await wait_for(self._nobody_patient, within_s)

    @property
    def patient(self) -> list[Signal]:
        """The bells of those who wait for an end without a time."""
        return list(self._patient)

    def dismiss(self) -> None:
        """Refuses those who wait for an end without a time, now and from now on."""
        self._signals.dismiss()

    @contextmanager
    def listen(self, task_id: str) -> Iterator[Signal]:
        """Hangs up a bell for who waits for a task's end without a time; it may yet have to come.

        Yields:
            The bell.
        """
        with self._signals.listen(task_id) as signal:
            self._patient[signal] = None
            self._nobody_patient.clear()
            try:
                yield signal
            finally:
                del self._patient[signal]
                if not self._patient:
                    self._nobody_patient.set()

    async def task(self, task_id: str, tenant: str | None) -> TaskRecord:
        """Reads a task.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over.
        """
        record = await self._store.task(task_id, tenant)
        if record is None:
            raise TaskNotFoundError(task_id)
        return record

    async def _again(self, task_id: str) -> TaskRecord:
        """Reads a task that was there before: if nothing tells of it any more it is gone."""
        record = await self._store.task(task_id, None)
        if record is None:
            raise PurgedError(task_id)
        return record

    async def wait(self, task_id: str, tenant: str | None, timeout_s: float | None) -> TaskRecord:
        """Reads a task once it is final, or when the time is over; None waits for ever.

        Raises:
            NotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over.
            UnavailableError: The gateway stops before the end for which it was to wait for ever.
        """
        wait = asyncio.timeout(timeout_s)
        listen = self.listen if timeout_s is None else self._signals.listen
        with listen(task_id) as signal:
            record = await self.task(task_id, tenant)
            try:
                async with wait:
                    if timeout_s is not None:
                        self._waits[wait] = None
                        if self._hurried:
                            wait.reschedule(0.0)
                    return await signal.final(record)
            except TimeoutError:
                return signal.record or record
            finally:
                self._waits.pop(wait, None)

    async def payload(self, record: TaskRecord) -> bytes:
        """Reads a task's payload: a JSON object."""
        return await self._store.payload(record.spec.id)

    async def ended(self, record: TaskRecord) -> tuple[TaskRecord, Outcome]:
        """Reads what a task ended with, if it has, and the task as it was then.

        They are read one after the other: a task that began anew in between is read again, for what
        it ended with is gone.

        Args:
            record: The task as it was read before.

        Raises:
            GoneError: Its retention ended meanwhile.
        """
        while record.status.final:
            outcome = await self._store.outcome(record.spec.id)
            if record.status is Status.COMPLETED and outcome != _NOTHING:
                # It stays so, unless it is gone: that is not to look like an end with nothing.
                return record, outcome
            now = await self._again(record.spec.id)
            if now.seq == record.seq:
                return record, outcome
            record = now
        return record, _NOTHING

    async def attempts(self, task_id: str, tenant: str | None) -> list[Attempt]:
        """Reads a task's attempts, oldest first, the open one last."""
        record = await self.task(task_id, tenant)
        attempts = await self._store.attempts(task_id)
        if record.running:
            server_id = record.server_id or ""
            running = AttemptOutcome.RUNNING
            flaw = misreported(record)
            attempts.append(Attempt(record.attempt, server_id, running, flaw, record.started_ms, 0))
        return attempts

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """Lists tasks, newest first, each with its number; ``before`` goes on below a number."""
        return await self._store.tasks(wanted, before, limit)

    async def watch(
        self, task_id: str, tenant: str | None, after_seq: int
    ) -> AsyncGenerator[Step, None]:
        """Yields a task's events after a sequence number, and ends after the one that ended it.

        Whoever connects before, during or after sees the same events in the same order; a slow
        reader reads in larger steps. While the task waits, its place in the queue comes in between
        whenever that changes.

        Raises:
            NotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over; also before a slow reader has read its end.
            UnavailableError: The gateway stops, or begins anew: nothing more will be heard here.
        """
        with self._signals.listen(task_id) as signal, self._board.follow(signal):
            record = await self.task(task_id, tenant)
            told: Place | None = None
            ended = True
            while True:
                signal.event.clear()
                if signal.changed:
                    signal.changed = False
                    events = await self._store.events(task_id, after_seq, WATCH_STEP)
                    if events and events[0].seq > after_seq + 1:
                        yield Step(events[0].seq - 1, None, await self._again(task_id))
                    for event in events:
                        after_seq, ended = event.seq, event.status.final
                        final = await self._again(task_id) if ended else None
                        yield Step(after_seq, event, final)
                    if len(events) == WATCH_STEP:
                        signal.changed = True
                        continue
                    record = signal.record or record
                    # An event may be read before its bell rings: a retry is newer than ``record``
                    # then.
                    if ended and record.status.final and after_seq >= record.seq:
                        return
                    if not events and after_seq < record.seq:
                        # Purged before this reader came to its end.
                        record = await self._again(task_id)
                    self._board.show(signal, record)
                if signal.dismissed:
                    raise UnavailableError(
                        f"the gateway stops; go on after event {after_seq}", retry_after_s=_AGAIN_S
                    )
                before, told = told, signal.place
                if told is not None and told is not before:
                    yield Step(after_seq, None, place=told)
                await signal.event.wait()
