"""What a backend's words mean for a task. Pure.

Two ways in: a *report* (a callback or a line of a report stream) and an *answer* to a dispatch.
Both become an input of the lifecycle, a ``Failure`` for ``retry.plan``, or nothing.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from inferry.server.errors import InvalidPayloadError, StaleAttemptError
from inferry.server.inputs import Accept, Cancel, Expire, Input, Progress, Succeed
from inferry.server.json_text import checked_json, refuse_rounded
from inferry.server.retry import Failure
from inferry.server.task import AttemptOutcome, Status, TaskRecord

#: Final statuses in which a backend that still works is told to stop instead of refused.
STOPPED = (Status.CANCELLED, Status.TIMEOUT)

_QUOTED = 200


@dataclass(frozen=True, slots=True)
class Report:
    """A backend's report on one attempt, as the guide's callback has it."""

    status: Status
    #: None leaves it.
    progress: float | None = None
    #: None leaves it.
    message: str | None = None
    #: A JSON text.
    result: bytes | None = None
    error: str = ""
    code: str = ""
    #: A JSON object.
    details: bytes | None = None
    #: Another attempt may do better.
    retryable: bool = False
    #: The attempt may run at least so long from now.
    extend_ms: int = 0

    @property
    def digest(self) -> bytes:
        """Fingerprint by which the same final report is known again."""
        parts = (self.result or b"", self.error.encode(), self.code.encode(), self.details or b"")
        framed = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return blake2b(b"%d;%b" % (self.status, framed), digest_size=16).digest()


def interpret(record: TaskRecord, attempt: int | None, report: Report) -> Input | Failure | None:
    """Tells what a report does to a task; None if it changes nothing.

    Args:
        record: The task.
        attempt: The attempt that reports; None for whichever is the latest.
        report: What it says.

    Raises:
        StaleAttemptError: The attempt has ended.
    """
    _fence(record, attempt)
    if record.status.final and _changes_nothing(record, report):
        return None
    return _meaning(report)


def _changes_nothing(record: TaskRecord, report: Report) -> bool:
    """Whether a final task answers a report with its status: it is known, or it comes too late."""
    if not report.status.final:
        return record.status in STOPPED
    confirms = report.status is record.status and not record.digest
    return confirms or record.digest == report.digest


def _meaning(report: Report) -> Input | Failure:
    match report.status:
        case Status.PENDING:
            return Progress(
                report.progress, report.message, working=False, extend_ms=report.extend_ms
            )
        case Status.PROCESSING:
            return Progress(report.progress, report.message, extend_ms=report.extend_ms)
        case Status.COMPLETED:
            return Succeed(b"null" if report.result is None else report.result, report.digest)
        case Status.FAILED:
            return Failure(
                AttemptOutcome.REJECTED,
                report.error or report.message or "the backend gave no reason",
                report.code or "INTERNAL_ERROR",
                report.details,
                report.retryable,
                digest=report.digest,
            )
        case Status.TIMEOUT:
            error = report.error or report.message or "the backend ran out of time"
            details = report.details or b'{"phase":"backend"}'
            return Expire(error, report.code or "TIMEOUT", details, report.digest)
        case Status.CANCELLED:
            return Cancel(report.error or report.message or "by the backend", report.digest)


def _fence(record: TaskRecord, attempt: int | None) -> None:
    if not record.waiting and attempt in (None, record.attempt):
        return
    what = "no attempt is open" if attempt is None else f"attempt {attempt} has ended"
    raise StaleAttemptError(
        f"task {record.spec.id}: {what}; only reports of the open attempt count",
        attempt=attempt,
        current=record.attempt,
        status=record.status.name,
    )


def read_answer(
    status: int, body: bytes, retry_after_ms: int | None, *, asynchronous: bool
) -> Accept | Succeed | Failure:
    """Tells what the answer to a dispatch means (guide: "Task Processing").

    Args:
        status: Of HTTP.
        body: Whatever came.
        retry_after_ms: From the ``Retry-After`` header.
        asynchronous: Whether there was a callback URL.
    """
    said = _json_object(body)
    if status in (429, 503):
        error = _error_of(said) or f"the server answered {status}"
        return Failure(AttemptOutcome.REFUSED, error, retry_after_ms=retry_after_ms)
    if status in (502, 504):
        return Failure(AttemptOutcome.AMBIGUOUS, f"the server answered {status}")
    word = said.get("status") if said is not None else None
    if 200 <= status < 300 and said is not None:  # noqa: PLR2004  # the 2xx class
        if word == "success":
            return _success(said.get("result"), body)
        if word == "accepted" and asynchronous:
            message = said.get("message")
            return Accept(message if isinstance(message, str) else None)
    if said is not None and (word in ("error", "FAILED") or _error_of(said)):
        return _rejected(said, f"the server answered {status} without a reason")
    return Failure(AttemptOutcome.REJECTED, _nonsense(status, body, word, asynchronous))


def _success(result: Any, body: bytes) -> Succeed | Failure:
    try:
        refuse_rounded(body, "result")
        return Succeed(checked_json(result, "result"))
    except InvalidPayloadError as error:
        return Failure(AttemptOutcome.REJECTED, error.message, error.code)


def _rejected(said: dict[str, Any], unexplained: str) -> Failure:
    code, details = said.get("code"), said.get("details")
    return Failure(
        AttemptOutcome.REJECTED,
        _error_of(said) or unexplained,
        code if isinstance(code, str) and code else "INTERNAL_ERROR",
        _details(details) if isinstance(details, dict) else None,
        retryable=said.get("retryable") is True,
    )


def _details(said: dict[str, Any]) -> bytes | None:
    try:
        return checked_json(said, "details")
    except InvalidPayloadError as error:
        return orjson.dumps({"left_out": error.message})


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def _error_of(said: dict[str, Any] | None) -> str:
    error = said.get("error") if said is not None else None
    return error if isinstance(error, str) else orjson.dumps(error).decode() if error else ""


def _nonsense(status: int, body: bytes, word: object, asynchronous: bool) -> str:  # noqa: FBT001
    expected = '"success", "error" or "accepted"' if asynchronous else '"success" or "error"'
    if word == "accepted":
        return f'the server answered "accepted", but had no callback_url; right is {expected}'
    came = body[:_QUOTED].decode("utf-8", "replace").strip() or "nothing"
    return f"the server answered {status} with no status {expected}: {came}"
