"""Carries attempts to HTTP servers: ``POST {url}/process``, as the guide has it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
import structlog

from inferry.server.access.callback import CallbackSigner
from inferry.server.carriers.http.answer import read_answer
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.clock import Clock
from inferry.server.engine.tasks import Engine
from inferry.server.errors import UnavailableError
from inferry.server.fleet.breaker import CallEnd
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord
from inferry.server.outbound.client import (
    AnswerError,
    AnswerTimeoutError,
    AnswerTooLargeError,
    AnswerUnreadableError,
    ConnectError,
    Outbound,
)
from inferry.server.replica.tenure import Tenure
from inferry.server.task.failure import Failure, Loss
from inferry.server.task.inputs import Input
from inferry.server.task.record import Attempt, AttemptOutcome, TaskRecord
from inferry.server.task.reports import ReportRules

#: What an answer means for the breaker that is not simply one.
_ENDS: Mapping[AttemptOutcome | None, CallEnd] = {
    AttemptOutcome.REFUSED: CallEnd.REFUSED,
    AttemptOutcome.AMBIGUOUS: CallEnd.BROKEN,
}

#: What comes of a call that the gateway itself stumbled over.
_BROKEN = Failure(
    AttemptOutcome.AMBIGUOUS, "the gateway failed at the call or its answer: see its log"
)
#: Between two tries to write down the outcome of a call.
_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """The numbers of a call."""

    #: What a report may hold.
    report: ReportRules
    #: Waited beyond an attempt's timeout.
    grace_ms: int
    #: A call that had less and brought no answer says nothing of its server: with timeouts of its
    #: own choice one client could have it taken from all others.
    patience_ms: int


class Dispatcher:
    """Calls servers; as many calls at once as there are slots.

    Args:
        engine: Takes what comes of the calls.
        fleet: The servers, and what their calls tell of them.
        outbound: Sends.
        signer: Makes callback URLs.
        clock: The time.
        stopper: Stops what is no longer wanted.
        tenure: Whether this replica may call servers.
        rules: The numbers of a call.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        fleet: Fleet,
        outbound: Outbound,
        signer: CallbackSigner,
        clock: Clock,
        stopper: Stopper,
        tenure: Tenure,
        rules: DispatchRules,
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._outbound = outbound
        self._signer = signer
        self._clock = clock
        self._stopper = stopper
        self._tenure = tenure
        self._rules = rules
        self._calls: dict[AttemptKey, tuple[TaskRecord, asyncio.Task[None]]] = {}
        #: Those whose answer is being written, too.
        self._running: dict[AttemptKey, asyncio.Task[None]] = {}

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Calls the server of a task's open attempt, in the background."""
        key = record.spec.id, record.attempt
        call = asyncio.create_task(self._call(record, payload), name=record.spec.id)
        self._calls[key] = record, call
        self._running[key] = call
        call.add_done_callback(lambda _: self._running.pop(key))

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Hangs up unless the server itself ended the attempt; then the call may end, too."""
        if closed.outcome not in (AttemptOutcome.SUCCEEDED, AttemptOutcome.REJECTED):
            _, call = self._calls.pop((record.spec.id, closed.number), (record, None))
            if call is not None:
                call.cancel()
                if closed.outcome is AttemptOutcome.TIMED_OUT:
                    self._note(record, self._unanswered(record))

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Has the server told that it should stop."""
        self._stopper.stop(task_id, closed, stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        self._stopper.confirm(task_id, attempt)

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:  # noqa: ARG002  # the contract has it
        """Whether an attempt's call has not ended, or its server is being told to stop."""
        return attempt in self._running or self._stopper.stops(attempt)

    def adopt(self, record: TaskRecord) -> None:
        """Has nothing to do: who called waits for the answer, and reports go to all gateways."""

    def carries(self, task_id: str, attempt: int) -> bool:
        """Whether the call of an attempt is under way."""
        return (task_id, attempt) in self._calls

    async def close(self, grace_s: float) -> list[TaskRecord]:
        """Lets the calls under way end, and hangs up when the time of grace is over.

        Returns:
            The tasks, as they were given away, whose calls were hung up on.
        """
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace_s)
        cut = [record for record, _ in self._calls.values()]
        left = list(self._running.values())
        for call in left:
            call.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._stopper.close()
        return cut

    async def _call(self, record: TaskRecord, payload: bytes) -> None:
        task_id = record.spec.id
        try:
            answer = await self._answer(record, payload)
        except Exception:  # noqa: BLE001  # whatever it was, the attempt must end
            _log.exception("a call broke", task_id=task_id, attempt=record.attempt)
            answer = _BROKEN
        finally:
            self._calls.pop((task_id, record.attempt), None)
        if isinstance(answer, Failure):
            _log.info(
                "attempt failed",
                task_id=task_id,
                attempt=record.attempt,
                server_id=record.server_id,
                outcome=answer.outcome.name,
                error=answer.error,
            )
        await self._write_down(record, answer)

    async def _answer(self, record: TaskRecord, payload: bytes) -> Input | Failure | None:
        member = self._fleet.get(record.server_id or "")
        if member is None:
            return Failure(AttemptOutcome.REFUSED, "the server was deregistered")
        if not self._tenure.holds:
            # It stood still, or lost sight of the store: another replica may call by now.
            return Failure(AttemptOutcome.REFUSED, "the replica's lease was over before the call")
        end, answer = await self._ask(member.record, record, payload)
        self._note(record, end, answer.retry_after_ms if isinstance(answer, Failure) else None)
        return answer

    async def _write_down(self, record: TaskRecord, answer: Input | Failure | None) -> None:
        """Has the outcome of a call written down, as soon as the store can write."""
        task_id = record.spec.id
        while True:
            try:
                if answer is not None:
                    await self._engine.answer(task_id, record.attempt, answer)
                else:
                    # Nothing came in time. Whether that ends the attempt is for its timeouts to
                    # say: reports may have extended it.
                    await self._engine.expire(task_id)
            except UnavailableError:
                # The server did its work: a disk that is full for a while must not undo that.
                await asyncio.sleep(_AGAIN_S)
            except Exception:  # noqa: BLE001  # an outcome that cannot be written is one all the same
                _log.exception("an outcome broke", task_id=task_id, attempt=record.attempt)
                if answer is _BROKEN:
                    # Its timeout ends it.
                    return
                answer = _BROKEN
            else:
                return

    async def _ask(
        self, server: ServerRecord, record: TaskRecord, payload: bytes
    ) -> tuple[CallEnd | None, Input | Failure | None]:
        left_ms = record.total_deadline_ms - self._clock.now_ms()
        timeout_ms = min(record.spec.timeout_ms, max(1, left_ms))
        try:
            response = await self._outbound.post(
                f"{server.url}/process",
                self._body(record, payload, timeout_ms),
                timeout_s=(timeout_ms + self._rules.grace_ms) / 1000,
                private_allowed=server.private_allowed,
            )
        except ConnectError as error:
            return CallEnd.UNREACHABLE, Failure(AttemptOutcome.REFUSED, str(error))
        except AnswerTimeoutError:
            return self._unanswered(record), None
        except AnswerTooLargeError as error:
            too_large = Failure(AttemptOutcome.REJECTED, str(error), "RESOURCE_LIMIT")
            return CallEnd.ANSWERED, too_large
        except AnswerUnreadableError as error:
            return CallEnd.ANSWERED, Failure(AttemptOutcome.REJECTED, str(error))
        except AnswerError as error:
            return CallEnd.BROKEN, Failure(AttemptOutcome.AMBIGUOUS, str(error))
        wait_s = response.retry_after_s
        answer = read_answer(
            response.status,
            response.body,
            None if wait_s is None else int(wait_s * 1000),
            self._rules.report,
            asynchronous=record.spec.asynchronous,
        )
        return _end_of(answer), answer

    def _unanswered(self, record: TaskRecord) -> CallEnd | None:
        """Tells what a call says of its server that brought no answer in time."""
        return CallEnd.BROKEN if record.spec.timeout_ms >= self._rules.patience_ms else None

    def _note(self, record: TaskRecord, end: CallEnd | None, wait_ms: int | None = None) -> None:
        if end is not None:
            server_id, now = record.server_id or "", self._clock.now_ms()
            self._fleet.note_call(server_id, record.spec.id, record.attempt, now, end, wait_ms)

    def _body(self, record: TaskRecord, payload: bytes, timeout_ms: int) -> bytes:
        spec, url = record.spec, None
        if spec.asynchronous:
            url = self._signer.url(spec.id, record.attempt, record.server_id or "")
        return orjson.dumps(
            {
                "id": spec.id,
                "type": spec.type,
                "payload": orjson.Fragment(payload),
                "callback_url": url,
                "timeout": timeout_ms,
                "attempt": record.attempt,
            }
        )


def _end_of(given: Input | Failure) -> CallEnd:
    """Tells what an answer says of its server: one that lost an attempt and says so answered."""
    told = isinstance(given, Failure) and given.loss is Loss.INTERRUPTED
    failed = given.outcome if isinstance(given, Failure) and not told else None
    return _ENDS.get(failed, CallEnd.ANSWERED)
