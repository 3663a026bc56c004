"""Carries attempts to HTTP servers: ``POST {url}/process``, as the guide has it."""

import asyncio

import orjson
import structlog

from inferry.server.callback import CallbackSigner
from inferry.server.clock import Clock
from inferry.server.engine import Engine
from inferry.server.fleet import Fleet
from inferry.server.inputs import Expire, Input
from inferry.server.outbound import (
    AnswerError,
    AnswerTimeoutError,
    AnswerTooLargeError,
    ConnectError,
    Outbound,
)
from inferry.server.reports import STOPPED, read_answer
from inferry.server.retry import Failure
from inferry.server.servers import ServerRecord
from inferry.server.task import AttemptOutcome, TaskRecord

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Calls servers; as many calls at once as there are slots."""

    def __init__(
        self,
        *,
        engine: Engine,
        fleet: Fleet,
        outbound: Outbound,
        signer: CallbackSigner,
        clock: Clock,
        grace_ms: int,
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._outbound = outbound
        self._signer = signer
        self._clock = clock
        self._grace_ms = grace_ms
        self._calls: dict[str, asyncio.Task[None]] = {}
        #: Keeps calls whose answer is being written from being collected.
        self._running: set[asyncio.Task[None]] = set()

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Calls the server of a task's open attempt, in the background."""
        call = asyncio.create_task(self._call(record, payload), name=record.spec.id)
        self._calls[record.spec.id] = call
        self._running.add(call)
        call.add_done_callback(self._running.discard)

    def drop(self, record: TaskRecord) -> None:
        """Hangs up if the task was stopped or its attempt given up; else the call may end."""
        if record.status in STOPPED or record.waiting:
            call = self._calls.pop(record.spec.id, None)
            if call is not None:
                call.cancel()

    async def close(self, grace_s: float) -> None:
        """Lets the calls under way end, and hangs up when the time of grace is over."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for call in self._running:
            call.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _call(self, record: TaskRecord, payload: bytes) -> None:
        task_id = record.spec.id
        member = self._fleet.get(record.server_id or "")
        try:
            given = (
                Failure(AttemptOutcome.REFUSED, "the server was deregistered")
                if member is None
                else await self._ask(member.record, record, payload)
            )
        finally:
            # A call that was hung up on may end when the next attempt's call is already there.
            if self._calls.get(task_id) is asyncio.current_task():
                del self._calls[task_id]
        if isinstance(given, Failure) and given.outcome is AttemptOutcome.REFUSED:
            now = self._clock.now_ms()
            self._fleet.rest(record.server_id or "", now, given.retry_after_ms)
        if isinstance(given, Failure):
            _log.info(
                "attempt failed",
                task_id=task_id,
                attempt=record.attempt,
                server_id=record.server_id,
                outcome=given.outcome.name,
                error=given.error,
            )
        await self._engine.answer(task_id, record.attempt, given)

    async def _ask(
        self, server: ServerRecord, record: TaskRecord, payload: bytes
    ) -> Input | Failure:
        timeout_ms = record.spec.timeout_ms + self._grace_ms
        try:
            answer = await self._outbound.post(
                f"{server.url}/process",
                self._body(record, payload),
                timeout_s=timeout_ms / 1000,
                private_allowed=server.private_allowed,
            )
        except ConnectError as error:
            return Failure(AttemptOutcome.REFUSED, str(error))
        except AnswerTimeoutError:
            error_text = f"the server did not answer within {record.spec.timeout_ms} ms"
            return Expire(error_text, details=b'{"phase":"attempt"}')
        except AnswerTooLargeError as error:
            return Failure(AttemptOutcome.REJECTED, str(error), "RESOURCE_LIMIT")
        except AnswerError as error:
            return Failure(AttemptOutcome.AMBIGUOUS, str(error))
        wait_s = answer.retry_after_s
        return read_answer(
            answer.status,
            answer.body,
            None if wait_s is None else int(wait_s * 1000),
            asynchronous=record.spec.asynchronous,
        )

    def _body(self, record: TaskRecord, payload: bytes) -> bytes:
        spec, url = record.spec, None
        if spec.asynchronous:
            url = self._signer.url(spec.id, record.attempt, record.server_id or "")
        return orjson.dumps(
            {
                "id": spec.id,
                "type": spec.type,
                "payload": orjson.Fragment(payload),
                "callback_url": url,
                "timeout": spec.timeout_ms,
                "attempt": record.attempt,
            }
        )
