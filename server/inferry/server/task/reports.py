"""What a backend's report means for a task: an input, a ``Failure``, or nothing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import orjson

from inferry.server.errors import (
    InvalidPayloadError,
    NotTheirsError,
    PayloadTooLargeError,
    StaleAttemptError,
)
from inferry.server.task.failure import LOSSES, Failure, Loss
from inferry.server.task.inputs import Cancel, Expire, Input, Progress, Succeed
from inferry.server.task.lifecycle import STOPPED
from inferry.server.task.record import STATUS_WORDS, AttemptOutcome, Status, TaskRecord
from inferry.v1.task_pb2 import TaskUpdate
from inferry.wire.callback_token import redact, redact_text
from inferry.wire.errors import FieldError
from inferry.wire.limits import CODE_CHARS, EXTEND_MS, TEXT_CHARS
from inferry.wire.structs import struct_text, value_text
from inferry.wire.text import check, check_object
from inferry.wire.words import read_words, text_of

_STATUSES = {int(status): status for status in Status}
_LOSSES = {int(loss): loss for loss in Loss}


@dataclass(frozen=True, slots=True)
class ReportRules:
    """What a report may hold."""

    #: How deep a result or details may nest.
    depth: int
    #: Bytes of a result and its details.
    largest: int


class Report(NamedTuple):
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
    #: With FAILED: how the attempt was lost; None when the work itself failed.
    loss: Loss | None = None
    #: What was left out because it could not be read, a clause each.
    notes: Sequence[str] = ()

    @property
    def digest(self) -> bytes:
        """Fingerprint by which the same final report is known again."""
        parts = [self.result or b"", self.error.encode(), self.code.encode(), self.details or b""]
        if self.loss is not None:
            parts.append(b"%d" % self.loss)
        framed = b"".join([b"%d:%b" % (len(part), part) for part in parts])
        return blake2b(b"%d;%b" % (self.status, framed), digest_size=16).digest()


def read_report(text: bytes, rules: ReportRules) -> Report:
    """Reads what a backend said in JSON, in a callback or in an answer.

    Raises:
        InvalidPayloadError: It is no JSON object, has no status, or its result is no JSON.
        PayloadTooLargeError: The result is.
    """
    try:
        words = read_words(text)
    except FieldError as error:
        raise InvalidPayloadError(str(error)) from None
    if not words.update.status:
        came = words.status or "missing"
        raise InvalidPayloadError(f"status: {came}; right is one of {STATUS_WORDS}")
    return report_of(words.update, rules, words.notes)


def report_of(update: TaskUpdate, rules: ReportRules, notes: Sequence[str] = ()) -> Report:
    """Reads a report, and takes our own tokens out of it.

    A result has to be right: it is the work. Everything beside it is taken as well as can be.

    Raises:
        InvalidPayloadError: It has no status, or its result is no JSON that can pass through.
        PayloadTooLargeError: The result is.
    """
    status = _STATUSES.get(update.status)
    if status is None:
        raise InvalidPayloadError(f"status: missing; right is one of {STATUS_WORDS}")
    result = _result_of(update, rules)
    extend_ms = max(0, min(update.extend_ms, EXTEND_MS))
    details, note = _details_of(update, rules, rules.largest - len(result or b""))
    return Report(
        status=status,
        progress=update.progress if update.HasField("progress") else None,
        message=bounded(update.message, TEXT_CHARS) if update.HasField("message") else None,
        result=result,
        error=bounded(update.error, TEXT_CHARS),
        code=bounded(update.code, CODE_CHARS),
        details=details,
        retryable=update.retryable,
        extend_ms=extend_ms,
        loss=_LOSSES.get(update.loss),
        notes=(*notes, note) if note else tuple(notes),
    )


def bounded(said: str, longest: int) -> str:
    """Cuts a text of a backend, and takes our own tokens out of it."""
    return redact_text(said[:longest])


def _result_of(update: TaskUpdate, rules: ReportRules) -> bytes | None:
    try:
        if update.HasField("result"):
            result = value_text(update.result)
        elif update.HasField("result_json"):
            result = update.result_json
        else:
            return None
        result = redact(result)
        if len(result) <= rules.largest:
            check(result, rules.depth)
            return result
    except FieldError as error:
        error.within("result")
        raise InvalidPayloadError(str(error), field="result") from None
    raise PayloadTooLargeError(f"result: {len(result)} bytes; the limit is {rules.largest}")


def _details_of(update: TaskUpdate, rules: ReportRules, room: int) -> tuple[bytes | None, str]:
    """Takes details as they are if they are an object; all else goes under ``raw``, cut.

    Returns:
        A JSON object, or None without details, and a note if they are not as they came.
    """
    if not update.HasField("more"):
        return None, ""
    text = redact(update.details_json)
    try:
        text = text or redact(struct_text(update.details))
        details = text if text.lstrip().startswith(b"{") else b'{"raw":%b}' % text
        if len(details) <= room:
            check_object(details, rules.depth)
            return details, ""
        flaw = f"{len(details)} bytes; there is room for {room}"
    except FieldError as error:
        flaw = str(error)
    details = orjson.dumps({"raw": text_of(text, TEXT_CHARS)})
    return details, f"details are kept as a text: {flaw}"


def interpret(
    record: TaskRecord, attempt: int | None, report: Report, server_id: str | None = None
) -> Input | Failure | None:
    """Tells what a report does to a task; None if it changes nothing.

    Args:
        record: The task.
        attempt: The attempt that reports; None for whichever is the latest.
        report: What it says.
        server_id: Who reports; None if that does not matter.

    Raises:
        StaleAttemptError: The attempt has ended, or is another server's.
    """
    _fence(record, attempt, server_id)
    if record.status.final and _changes_nothing(record, report):
        return None
    return meaning(report)


def _changes_nothing(record: TaskRecord, report: Report) -> bool:
    """Whether a final task answers a report with its status: it is known, or it comes too late."""
    if not report.status.final:
        return record.status in STOPPED
    confirms = report.status is record.status and not record.digest
    return confirms or record.digest == report.digest


def meaning(report: Report) -> Input | Failure:
    """Tells what a report does to a task with an open attempt."""
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
                AttemptOutcome.REJECTED if report.loss is None else LOSSES[report.loss],
                report.error or report.message or _unsaid(report.loss),
                report.code or "INTERNAL_ERROR",
                report.details,
                report.retryable,
                digest=report.digest,
                loss=report.loss,
            )
        case Status.TIMEOUT:
            error = report.error or report.message or "the backend ran out of time"
            details = report.details or b'{"phase":"backend"}'
            return Expire(error, report.code or "TIMEOUT", details, report.digest)
        case Status.CANCELLED:
            return Cancel(report.error or report.message or "by the backend", report.digest)


def _unsaid(loss: Loss | None) -> str:
    """Says why an attempt failed of which its server gave no reason."""
    match loss:
        case None:
            return "the backend gave no reason"
        case Loss.NOT_STARTED:
            return "the backend gave it back before it ran"
        case Loss.INTERRUPTED:
            return "the backend broke it off"
        case Loss.PROCESS_DIED:
            return "the process that ran it died"


def _fence(record: TaskRecord, attempt: int | None, server_id: str | None) -> None:
    if server_id not in (None, record.server_id):
        raise NotTheirsError(record.spec.id, attempt)
    if not record.waiting and attempt in (None, record.attempt):
        return
    what = "no attempt is open" if attempt is None else f"attempt {attempt} has ended"
    raise StaleAttemptError(
        f"task {record.spec.id}: {what}; only reports of the open attempt count",
        attempt=attempt,
        current=record.attempt,
        status=record.status.name,
    )
