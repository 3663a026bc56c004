"""One call of a server: what it is asked, and what the end of the call says of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from inferry.server.access.callback import CallbackSigner
from inferry.server.carriers.http.answer import read_answer
from inferry.server.carriers.http.caller import Caller
from inferry.server.clock import Clock
from inferry.server.engine.tracing import Tracing
from inferry.server.fleet.breaker import CallEnd
from inferry.server.fleet.record import ServerRecord
from inferry.server.outbound.errors import (
    AnswerError,
    AnswerTimeoutError,
    AnswerTooLargeError,
    AnswerUnreadableError,
    ConnectError,
)
from inferry.server.task.failure import Failure, Loss
from inferry.server.task.inputs import Input
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.task.reports import ReportRules

#: What an answer means for the breaker that is not simply one.
_ENDS: Mapping[AttemptOutcome | None, CallEnd] = {
    AttemptOutcome.REFUSED: CallEnd.REFUSED,
    AttemptOutcome.AMBIGUOUS: CallEnd.BROKEN,
}


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


class ServerCalls:
    """Asks servers to run attempts, each by a call of its own.

    Args:
        caller: Sends.
        signer: Makes callback URLs.
        clock: The time.
        rules: The numbers of a call.
        tracing: Tells which trace a call belongs to.
    """

    def __init__(
        self,
        caller: Caller,
        signer: CallbackSigner,
        clock: Clock,
        rules: DispatchRules,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._caller = caller
        self._signer = signer
        self._clock = clock
        self._rules = rules

    async def ask(
        self,
        server: ServerRecord,
        record: TaskRecord,
        payload: bytes,
        connected: Callable[[], object] | None = None,
    ) -> tuple[CallEnd | None, Input | Failure | None]:
        """Asks a server to run a task's open attempt.

        Args:
            server: The server.
            record: The task.
            payload: A JSON object.
            connected: Told when the server is reached, and about to be asked.

        Returns:
            What the end of the call says of the server, None if nothing; and what comes of the
            attempt, None if no answer came in time.
        """
        left_ms = record.total_deadline_ms - self._clock.now_ms()
        timeout_ms = min(record.spec.timeout_ms, max(1, left_ms))
        try:
            response = await self._caller.post(
                server,
                "/process",
                self._body(record, payload, timeout_ms),
                (timeout_ms + self._rules.grace_ms) / 1000,
                self._tracing.onward(record).headers,
                connected,
            )
        except ConnectError as error:
            return CallEnd.UNREACHABLE, Failure(AttemptOutcome.REFUSED, str(error))
        except AnswerTimeoutError:
            return self.unanswered(record), None
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

    def unanswered(self, record: TaskRecord) -> CallEnd | None:
        """Tells what a call says of its server that brought no answer in time."""
        return CallEnd.BROKEN if record.spec.timeout_ms >= self._rules.patience_ms else None

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
