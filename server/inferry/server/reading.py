"""The use cases that only read: get, wait, watch, list, attempts."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from inferry.server.engine import check_tenant
from inferry.server.errors import NotFoundError
from inferry.server.signals import Signals
from inferry.server.store import PurgedError, Store, TaskFilter
from inferry.server.task import Attempt, AttemptOutcome, Event, Outcome, TaskRecord

WATCH_STEP = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a watch."""

    #: Sequence number that the watcher has reached with it.
    seq: int
    #: None is a gap: older events are no longer kept, and ``record`` is the task as it is now.
    event: Event | None
    #: The task: on a gap and on the event that ended it.
    record: TaskRecord | None = None


class Reader:
    """All that can be read of tasks."""

    def __init__(self, store: Store, signals: Signals) -> None:
        self._store = store
        self._signals = signals

    async def task(self, task_id: str, tenant: str | None) -> TaskRecord:
        """Reads a task.

        Raises:
            NotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over.
        """
        try:
            record = await self._store.task(task_id)
        except PurgedError as purged:
            check_tenant(task_id, purged.tenant, tenant)
            raise
        if record is None:
            raise NotFoundError(f"no task {task_id}")
        check_tenant(task_id, record.spec.tenant, tenant)
        return record

    async def wait(self, task_id: str, tenant: str | None, timeout_s: float | None) -> TaskRecord:
        """Reads a task once it is final, or when the time is over; None waits for ever."""
        with self._signals.listen(task_id) as signal:
            record = await self.task(task_id, tenant)
            try:
                async with asyncio.timeout(timeout_s):
                    return await signal.final(record)
            except TimeoutError:
                return signal.record or record

    async def payload(self, record: TaskRecord) -> bytes:
        """Reads a task's payload: a JSON object."""
        return await self._store.payload(record.spec.id)

    async def outcome(self, record: TaskRecord) -> Outcome:
        """Reads what a task ended with; nothing while it has not."""
        return await self._store.outcome(record.spec.id) if record.status.final else Outcome()

    async def attempts(self, task_id: str, tenant: str | None) -> list[Attempt]:
        """Reads a task's attempts, oldest first, the open one last."""
        record = await self.task(task_id, tenant)
        attempts = await self._store.attempts(task_id)
        if record.held:
            server_id = record.server_id or ""
            running = AttemptOutcome.RUNNING
            attempts.append(Attempt(record.attempt, server_id, running, "", record.started_ms, 0))
        return attempts

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """Lists tasks, newest first, each with its place; ``before`` continues after a place."""
        return await self._store.tasks(wanted, before, limit)

    async def watch(
        self, task_id: str, tenant: str | None, after_seq: int
    ) -> AsyncGenerator[Step, None]:
        """Yields a task's events after a sequence number, and ends after the one that ended it.

        Whoever connects before, during or after sees the same events in the same order; a slow
        reader reads in larger steps.
        """
        with self._signals.listen(task_id) as signal:
            record = await self.task(task_id, tenant)
            while True:
                signal.event.clear()
                events = await self._store.events(task_id, after_seq, WATCH_STEP)
                if events and events[0].seq > after_seq + 1:
                    yield Step(events[0].seq - 1, None, await self.task(task_id, tenant))
                for event in events:
                    after_seq = event.seq
                    ended = await self.task(task_id, tenant) if event.status.final else None
                    yield Step(after_seq, event, ended)
                if len(events) == WATCH_STEP:
                    continue
                record = signal.record or record
                if record.status.final and after_seq >= record.seq:
                    return
                await signal.event.wait()
