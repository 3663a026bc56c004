"""What a backend's report means for a task: an input, a ``Failure``, or nothing. Pure."""

from dataclasses import dataclass
from hashlib import blake2b

from inferry.server.errors import StaleAttemptError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Cancel, Expire, Input, Progress, Succeed
from inferry.server.task.record import AttemptOutcome, Status, TaskRecord

#: Final statuses in which a backend that still works is told to stop instead of refused.
STOPPED = (Status.CANCELLED, Status.TIMEOUT)


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
