"""What a worker's words do to tasks, written down in the background, in the order of the words."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from inferry.server.engine.tasks import Engine
from inferry.server.errors import (
    InferryError,
    InvalidPayloadError,
    PayloadTooLargeError,
    UnavailableError,
)
from inferry.server.fleet.lease import AttemptKey
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept
from inferry.server.task.lifecycle import STOPPED
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.task.reports import Report, ReportRules, report_of
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.worker_pb2 import ReportAck

#: Between two tries to write down what must not be lost.
_AGAIN_S = 1.0
#: How long it may take when the gateway stops.
_CLOSE_S = 0.5

_log = structlog.get_logger(__name__)


class Deeds(Protocol):
    """What follows from a worker's words."""

    def accept(self, attempt: AttemptKey) -> None:
        """The worker took an attempt."""

    def give_back(self, attempt: AttemptKey, reason: str) -> None:
        """The worker never took an attempt: it goes to another one, and does not count."""

    def lose(self, attempt: AttemptKey, reason: str) -> None:
        """The worker lost an attempt that it had taken."""


class Clerk(Protocol):
    """Takes the reports of workers."""

    async def report(
        self, server_id: str, attempt: AttemptKey, number: int, update: TaskUpdate
    ) -> ReportAck:
        """Takes a report of a worker on one of its attempts; tells what became of it."""
        ...

    async def misreport(
        self, server_id: str, attempt: AttemptKey, number: int, error: InferryError
    ) -> ReportAck:
        """Keeps why a report was refused on its attempt; tells the worker."""
        ...

    def spawn(self, deed: Coroutine[Any, Any, None]) -> None:
        """Runs something in the background."""
        ...


class Writer:
    """Writes it down through the use cases of tasks.

    Args:
        engine: The use cases.
        rules: What a report may hold.
    """

    def __init__(self, engine: Engine, rules: ReportRules) -> None:
        self._engine = engine
        self._rules = rules
        self._running: set[asyncio.Task[Any]] = set()

    def accept(self, attempt: AttemptKey) -> None:
        """Has the task begin; not more than once: its first report does so, too."""
        self.spawn(self._accept(attempt))

    def give_back(self, attempt: AttemptKey, reason: str) -> None:
        """Has the task wait again."""
        self.spawn(self._end(attempt, Failure(AttemptOutcome.REFUSED, reason)))

    def lose(self, attempt: AttemptKey, reason: str) -> None:
        """Ends the attempt by the rules of servers that died."""
        self.spawn(self._end(attempt, Failure(AttemptOutcome.LOST, reason)))

    def spawn(self, deed: Coroutine[Any, Any, None]) -> None:
        """Runs something in the background."""
        task = asyncio.create_task(deed, name="a worker's word")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def report(
        self, server_id: str, attempt: AttemptKey, number: int, update: TaskUpdate
    ) -> ReportAck:
        """Takes a report of a worker on one of its attempts; tells what became of it."""
        task_id, attempt_number = attempt
        ack = ReportAck(number=number)
        try:
            report = await self._read(server_id, attempt, update)
            record = await self._engine.report(
                task_id, attempt_number, report, None, server_id=server_id
            )
        except InferryError as error:
            return refusal(number, error)
        except Exception as error:  # noqa: BLE001  # whatever it was, the worker must hear of it
            _log.exception("a report broke", task_id=task_id, attempt=attempt_number)
            return refusal(number, InferryError(f"internal error: {type(error).__name__}"))
        _fill(ack, record, report)
        return ack

    async def misreport(
        self, server_id: str, attempt: AttemptKey, number: int, error: InferryError
    ) -> ReportAck:
        """Keeps why a report was refused on its attempt; tells the worker."""
        if not isinstance(error, UnavailableError):
            await self._engine.misreport(*attempt, error.message, None, server_id=server_id)
        return refusal(number, error)

    async def close(self, within_s: float = _CLOSE_S) -> None:
        """Lets what is being written end, and gives up when the time is over."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _read(self, server_id: str, attempt: AttemptKey, update: TaskUpdate) -> Report:
        try:
            return report_of(update, self._rules)
        except (InvalidPayloadError, PayloadTooLargeError) as error:
            await self._engine.misreport(*attempt, error.message, None, server_id=server_id)
            raise

    async def _accept(self, attempt: AttemptKey) -> None:
        try:
            await self._engine.answer(*attempt, Accept())
        except InferryError as error:
            _log.info("an acceptance was not kept", task_id=attempt[0], error=error.message)

    async def _end(self, attempt: AttemptKey, failure: Failure) -> None:
        task_id, number = attempt
        _log.info("attempt failed", task_id=task_id, attempt=number, error=failure.error)
        while True:
            try:
                await self._engine.answer(task_id, number, failure)
            except UnavailableError:
                await asyncio.sleep(_AGAIN_S)
            except InferryError:
                _log.exception("an attempt's end broke", task_id=task_id, attempt=number)
                return
            else:
                return


def refusal(number: int, error: InferryError) -> ReportAck:
    """Tells a worker why a report was refused, and whether it is to be sent again."""
    again = isinstance(error, UnavailableError)
    ack = ReportAck(number=number, code=error.code, error=error.message, again=again)
    status = error.details.get("status")
    if status in Task.Status.keys():  # noqa: SIM118  # no mapping
        ack.status = Task.Status.Value(status)
        ack.stop = True
    return ack


def _fill(ack: ReportAck, record: TaskRecord, report: Report) -> None:
    ack.status = Task.Status.ValueType(record.status)
    ack.stop = record.status in STOPPED and not record.digest
    ack.notes.extend(report.notes)
