"""What a worker's words do to tasks, written down in the background, in the order of the words."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from inferry.server.carriers.worker.holds import Hold
from inferry.server.engine.tasks import Engine
from inferry.server.errors import (
    InferryError,
    InvalidPayloadError,
    NotTheirsError,
    PayloadTooLargeError,
    PurgedError,
    StaleAttemptError,
    TaskNotFoundError,
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


#: What is kept of a report: what it says, or why it was refused.
_KEPT = (Report, InvalidPayloadError, PayloadTooLargeError)


class Word(NamedTuple):
    """A report as it came."""

    attempt: AttemptKey
    number: int
    update: TaskUpdate
    #: What the worker has of the attempt; None if that is nothing, or the report does not end it.
    hold: Hold | None
    #: Why it is refused, whatever it says.
    flaw: InferryError | None = None


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

    async def report(self, server_id: str, words: Sequence[Word]) -> list[ReportAck]:
        """Takes what a worker reports on its attempts, in its order; tells what became of each."""
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

    async def report(self, server_id: str, words: Sequence[Word]) -> list[ReportAck]:
        """Takes what a worker reports on its attempts, in its order; tells what became of each."""
        read = [self._read(word) for word in words]
        kept = [
            (word.attempt, said if isinstance(said, Report) else said.message)
            for word, said in zip(words, read, strict=True)
            if isinstance(said, _KEPT)
        ]
        results = iter(await self._engine.report_all(kept, server_id))
        acks = []
        for word, said in zip(words, read, strict=True):
            result = next(results) if isinstance(said, _KEPT) else said
            if isinstance(said, InferryError):
                task_id, attempt = word.attempt
                _log.warning("report refused", task_id=task_id, attempt=attempt, error=said.message)
                acks.append(refusal(word.number, said))
            elif isinstance(result, TaskNotFoundError | PurgedError):
                acks.append(refusal(word.number, NotTheirsError(*word.attempt)))
            elif isinstance(result, InferryError):
                acks.append(refusal(word.number, result))
            else:
                acks.append(_taken(word.number, said, result))
        return acks

    async def close(self, within_s: float = _CLOSE_S) -> None:
        """Lets what is being written end, and gives up when the time is over."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _read(self, word: Word) -> Report | InferryError:
        if word.flaw is not None:
            return word.flaw
        try:
            return report_of(word.update, self._rules)
        except InferryError as error:
            return error
        except Exception as error:  # noqa: BLE001  # whatever it was, the worker must hear of it
            _log.exception("a report broke", task_id=word.attempt[0], attempt=word.attempt[1])
            return InferryError(f"internal error: {type(error).__name__}")

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
    stop = isinstance(error, StaleAttemptError)
    ack = ReportAck(number=number, code=error.code, error=error.message, again=again, stop=stop)
    status = error.details.get("status")
    if status in Task.Status.keys():  # noqa: SIM118  # no mapping
        ack.status = Task.Status.Value(status)
        ack.stop = True
    return ack


def _taken(number: int, report: Report, record: TaskRecord) -> ReportAck:
    """Tells a worker that a report was taken, and how the task is after it."""
    return ReportAck(
        number=number,
        status=Task.Status.ValueType(record.status),
        stop=record.status in STOPPED and not record.digest,
        notes=report.notes or None,
    )
