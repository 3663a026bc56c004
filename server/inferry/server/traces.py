"""What a step of a task leaves behind besides the record: its event, and how an attempt ended."""

from inferry.server.inputs import Cancel, Ending, Expire, Fail, Succeed
from inferry.server.task import Attempt, AttemptOutcome, Event, EventKind, Outcome, TaskRecord


def event_of(record: TaskRecord, kind: EventKind, message: str = "") -> Event:
    """Tells of the step that led to ``record``."""
    return Event(
        record.spec.id,
        record.seq,
        record.updated_ms,
        kind,
        record.status,
        record.progress,
        message,
        record.attempt,
        record.server_id,
    )


def close(record: TaskRecord, outcome: AttemptOutcome, error: str, now_ms: int) -> Attempt:
    """Ends the open attempt of ``record``."""
    server_id = record.server_id or ""
    return Attempt(record.attempt, server_id, outcome, error, record.started_ms, now_ms)


def verdict(given: Ending) -> tuple[AttemptOutcome, str, str, Outcome | None]:
    """Tells how an ending ends the attempt, its error and code, and what is to be stored."""
    match given:
        case Succeed():
            return AttemptOutcome.SUCCEEDED, "", "", Outcome(result=given.result)
        case Fail():
            return given.outcome, given.error, given.code, Outcome(details=given.details)
        case Expire():
            stored = Outcome(details=given.details)
            return AttemptOutcome.TIMED_OUT, given.error, given.code, stored
        case Cancel():
            return AttemptOutcome.ABORTED, given.reason, "CANCELLED", None
