"""The use cases of tasks that are there: report, cancel, retry, claim, expire. See ``creator``.

Every change goes the same way: an operation with a pure ``decide`` -> the committer -> the disk ->
the ledger, which keeps slots, queue and watchers in step and hands claimed attempts to the carrier.
(Design section 3.)
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from random import Random

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.announcer import note_postponed, note_purged
from inferry.server.engine.committer import Committer, Order, Settle
from inferry.server.engine.decisions import Decide, Look, abandoned, ended_by_time, reported
from inferry.server.engine.ledger import Ledger
from inferry.server.errors import (
    InferryError,
    NotOwnerError,
    PurgedError,
    TaskNotFoundError,
)
from inferry.server.fleet.lease import AttemptKey
from inferry.server.store.operations import Change, ClaimTasks, Postpone, Purge
from inferry.server.task.failure import Failure, plan
from inferry.server.task.inputs import Cancel, Claim, Input, Retry
from inferry.server.task.lifecycle import apply
from inferry.server.task.record import AttemptOutcome, Status, TaskRecord
from inferry.server.task.reports import Report
from inferry.server.task.rules import TaskRules
from inferry.server.task.steps import Transition

_log = structlog.get_logger(__name__)

#: Deadlines put off in one transaction.
POSTPONED_AT_ONCE = 500


class Engine:
    """All that can happen to tasks that are there."""

    def __init__(
        self,
        *,
        committer: Committer,
        ledger: Ledger,
        clock: Clock,
        rules: TaskRules,
        random: Random,
        look: Look,
    ) -> None:
        self._look = look
        self._committer = committer
        self._ledger = ledger
        self._clock = clock
        self._rules = rules
        self._random = random

    @property
    def idle(self) -> bool:
        """Whether nothing is being written."""
        return self._committer.idle

    async def report(
        self,
        task_id: str,
        attempt: int | None,
        report: Report,
        tenant: str | None,
        server_id: str | None = None,
    ) -> TaskRecord:
        """Takes a backend's report; the task's status tells whether the backend should stop.

        Args:
            task_id: The task.
            attempt: The attempt that reports; None for whichever is open.
            report: What it says.
            tenant: Whose tasks the backend may report on; None for everybody's.
            server_id: Who reports; None if that does not matter.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            StaleAttemptError: The attempt has ended, or is another server's.
            IllegalTransitionError: The task has ended otherwise.
        """
        decide = reported(attempt, report, server_id)
        return await self._change(task_id, decide, self._ledger.reported, tenant)

    async def report_all(
        self, reports: Sequence[tuple[AttemptKey, Report | str]], server_id: str
    ) -> list[TaskRecord | InferryError]:
        """Takes what a server reports on its attempts, in its order: all in one go.

        Args:
            reports: Attempts, each with a report or with why the one that came was refused.
            server_id: The server.

        Returns:
            For each the task after it, or the error that refused it.
        """
        orders: list[Order] = []
        for (task_id, attempt), report in reports:
            decide = reported(attempt, report, server_id)
            orders.append((self._operation(task_id, decide, None), self._ledger.reported))
        results = await self._committer.do_all(orders)
        return [one.record if isinstance(one, Transition) else one for one in results]

    async def misreport(
        self,
        task_id: str,
        attempt: int | None,
        reason: str,
        tenant: str | None,
        server_id: str | None = None,
    ) -> None:
        """Keeps why a report was refused on the attempt that it was about, if that is open."""
        decide = reported(attempt, reason, server_id)
        # Of no task of ours there is nothing to tell: its id is whatever its caller made up.
        with suppress(InferryError):
            await self._change(task_id, decide, self._ledger.reported, tenant)
            _log.warning("report refused", task_id=task_id, attempt=attempt, error=reason)

    async def answer(self, task_id: str, attempt: int, answer: Input | Failure) -> None:
        """Takes what came of a dispatch; nothing changes if the attempt has ended meanwhile."""

        def decide(record: TaskRecord) -> Input | Failure | None:
            return answer if record.attempt == attempt and record.running else None

        try:
            await self._change(task_id, decide, self._ledger.changed)
        except (TaskNotFoundError, PurgedError):
            _log.info("task gone before its answer", task_id=task_id, attempt=attempt)

    async def cancel(self, task_id: str, tenant: str | None, reason: str) -> TaskRecord:
        """Ends a task that is not final; one that was cancelled stays so.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            IllegalTransitionError: It ended otherwise.
        """

        def decide(record: TaskRecord) -> Input | None:
            return None if record.status is Status.CANCELLED else Cancel(reason)

        return await self._change(task_id, decide, self._ledger.changed, tenant)

    def abandon(self, task_id: str) -> None:
        """Ends a task whose creator has hung up if it waits; one that a server has goes on.

        Args:
            task_id: The task; its creation may have been refused.
        """
        # Who is told to stop cannot wait; what the store does not write is left to its timeouts.
        self._committer.order(self._operation(task_id, abandoned, None), self._ledger.changed)

    async def retry(self, task_id: str, tenant: str | None) -> TaskRecord:
        """Starts a FAILED, TIMEOUT or CANCELLED task again.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            IllegalTransitionError: It is in no such status.
            QueueFullError: Too many wait.
        """
        operation = self._operation(task_id, lambda _: Retry(), tenant)
        return await self._do(operation._replace(room=self._ledger.room), self._ledger.changed)

    async def expire(self, task_id: str) -> None:
        """Ends a task whose clock ran out; changes nothing if it has not, or is gone.

        The queue clock of a paused type begins anew instead.
        """
        await self._expire(task_id, self._ended_by_time())

    async def expire_all(self, task_ids: Sequence[str]) -> None:
        """Does so with many."""
        if task_ids:
            decide = self._ended_by_time()
            await asyncio.gather(*(self._expire(task_id, decide) for task_id in task_ids))

    def _ended_by_time(self) -> Decide:
        # The look is taken here, on the loop: a decision is made where the store is written.
        paused, outlook = self._ledger.paused_now, self._look()
        return ended_by_time(self._clock, self._rules, paused, outlook)

    async def _expire(self, task_id: str, decide: Decide) -> None:
        try:
            await self._change(task_id, decide, self._ledger.changed)
        except (TaskNotFoundError, PurgedError):
            _log.debug("task gone before its timeout", task_id=task_id)

    async def lose(self, server_id: str, attempts: Collection[AttemptKey], reason: str) -> None:
        """Ends attempts whose server died, or was taken out of the list; no error if they ended."""
        lost = Failure(AttemptOutcome.LOST, reason)
        _log.warning("server lost", server_id=server_id, attempts=len(attempts), error=reason)
        await asyncio.gather(*(self.answer(one, number, lost) for one, number in sorted(attempts)))

    async def claim(self, server_id: str, task_ids: Sequence[str], due_ms: int) -> None:
        """Claims waiting tasks for a server, whose slots are reserved for them.

        Args:
            server_id: The server.
            task_ids: The tasks, in their order; those that wait no more are left out.
            due_ms: The time as of which they are due.
        """
        now = self._clock.now_ms()
        decide = partial(apply, cause=Claim(server_id), now_ms=now, rules=self._rules)
        # A server that changed hands meanwhile is another replica's, and so may the tasks be.
        with suppress(NotOwnerError):
            await self._committer.do(
                ClaimTasks(task_ids, due_ms, decide, server_id),
                partial(self._ledger.claimed, server_id=server_id, task_ids=task_ids),
            )

    async def purge(self, limit: int, tombstone_ms: int) -> int:
        """Drops final tasks whose retention is over; returns how many."""
        operation = Purge(self._clock.now_ms(), limit, tombstone_ms)
        purged: int = await self._committer.do(operation, note_purged)
        return purged

    async def postpone(self, grace_ms: int) -> None:
        """Lets no clock that runs by now end a task within ``grace_ms``."""
        operation = Postpone(self._clock.now_ms() + grace_ms, POSTPONED_AT_ONCE)
        # There may be a million: others have their turn in between.
        while await self._committer.do(operation, note_postponed) == POSTPONED_AT_ONCE:
            pass

    async def _change(
        self, task_id: str, decide: Decide, settle: Settle, tenant: str | None = None
    ) -> TaskRecord:
        return await self._do(self._operation(task_id, decide, tenant), settle)

    async def _do(self, operation: Change, settle: Settle) -> TaskRecord:
        result = await self._committer.do(operation, settle)
        record: TaskRecord = result.record if isinstance(result, Transition) else result
        return record

    def _operation(self, task_id: str, decide: Decide, tenant: str | None) -> Change:
        def change(record: TaskRecord) -> Transition | None:
            cause = decide(record)
            now = self._clock.now_ms()
            if isinstance(cause, Failure):
                cause = plan(record, cause, now, self._random.random(), self._rules)
            return None if cause is None else apply(record, cause, now, self._rules)

        return Change(task_id, change, tenant)
