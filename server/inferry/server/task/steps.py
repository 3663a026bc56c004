"""What each input does to a task: the record after it, its event, and what else it leaves behind.

Whether an input is possible at all is for ``lifecycle`` to say, which alone calls these. Pure.
"""

from typing import NamedTuple

from inferry.server.task.deadlines import queue_deadline, run_deadline
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Ending,
    Expire,
    Fail,
    Hold,
    Misreport,
    Progress,
    Release,
    Succeed,
)
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Outcome,
    Status,
    TaskRecord,
    TaskSpec,
)
from inferry.server.task.rules import TaskRules


class Transition(NamedTuple):
    """What an input did: the record after it, the event to log, and what else is to be stored."""

    record: TaskRecord
    event: Event
    #: The attempt that this ended.
    closed: Attempt | None = None
    #: What it brought or, as an empty ``Outcome``, took away; None leaves what is stored.
    outcome: Outcome | None = None


def claim(record: TaskRecord, cause: Claim, now: int, rules: TaskRules) -> Transition:
    """Gives a waiting task to a server: the next attempt begins."""
    last = record.total_deadline_ms
    attempt_deadline = min(now + record.spec.timeout_ms + rules.grace_ms, last)
    after = record._replace(
        seq=record.seq + 1,
        updated_ms=now,
        attempt=record.attempt + 1,
        attempts_counted=record.attempts_counted + 1,
        server_id=cause.server_id,
        started_ms=now,
        not_before_ms=0,
        progress=0.0,
        message="",
        flaw="",
        attempt_deadline_ms=attempt_deadline,
        deadline_ms=run_deadline(record.spec, attempt_deadline, last, now),
    )
    return Transition(after, event_of(after, EventKind.DISPATCHED))


def report(
    record: TaskRecord, target: Status, cause: Accept | Progress, now: int, rules: TaskRules
) -> Transition:
    """Takes a word of the server: it breaks the silence, and may extend the attempt."""
    progress, message, kind = record.progress, record.message, EventKind.ACCEPTED
    run_until, last = record.attempt_deadline_ms, record.total_deadline_ms
    if isinstance(cause, Progress):
        kind = EventKind.PROGRESSED
        target = target if cause.working else record.status
        if cause.progress is not None:
            progress = max(progress, min(100.0, max(0.0, cause.progress)))
        if cause.extend_ms:
            run_until = max(run_until, min(now + cause.extend_ms + rules.grace_ms, last))
    message = message if cause.message is None else cause.message
    after = record._replace(
        status=target,
        seq=record.seq + 1,
        updated_ms=now,
        progress=progress,
        message=message,
        attempt_deadline_ms=run_until,
        deadline_ms=run_deadline(record.spec, run_until, last, now),
    )
    return Transition(after, event_of(after, kind, message))


def misreport(record: TaskRecord, cause: Misreport, now: int) -> Transition:
    """Keeps why a report was refused: whoever looks for the end of the attempt finds it there."""
    deadline = run_deadline(
        record.spec, record.attempt_deadline_ms, record.total_deadline_ms, heard_ms=now
    )
    after = record._replace(
        seq=record.seq + 1, updated_ms=now, flaw=cause.reason, deadline_ms=deadline
    )
    return Transition(after, event_of(after, EventKind.MISREPORTED, cause.reason))


def release(record: TaskRecord, cause: Release, now: int, rules: TaskRules) -> Transition:
    """Ends an attempt without ending the task: it waits again."""
    # What was refused did not run: it keeps its turn, and its wait goes on.
    refused = cause.outcome is AttemptOutcome.REFUSED
    queued, ends = record.queued_ms, record.queue_deadline_ms
    if not refused:
        queued = max(now, cause.not_before_ms)
        ends = queue_deadline(record.spec, queued, record.total_deadline_ms)
    lost = cause.outcome is AttemptOutcome.LOST
    after = record._replace(
        status=Status.PENDING,
        seq=record.seq + 1,
        updated_ms=now,
        server_id=None,
        attempts_counted=record.attempts_counted - (not cause.counts),
        not_before_ms=cause.not_before_ms,
        queued_ms=queued,
        attempt_deadline_ms=0,
        deadline_ms=ends,
        queue_deadline_ms=ends,
        losses=(*record.losses, now)[-rules.poison_losses :] if lost else record.losses,
    )
    closed = close(record, cause.outcome, cause.reason, now)
    return Transition(after, event_of(after, EventKind.REQUEUED, cause.reason), closed)


def hold(record: TaskRecord, cause: Hold, now: int) -> Transition:
    """Begins the queue wait of a task anew."""
    ends = queue_deadline(record.spec, now, record.total_deadline_ms)
    after = record._replace(
        seq=record.seq + 1, updated_ms=now, deadline_ms=ends, queue_deadline_ms=ends
    )
    return Transition(after, event_of(after, EventKind.HELD, cause.reason))


def retry(record: TaskRecord, now: int) -> Transition:
    """Starts a final task again; numbers of events and attempts go on."""
    again = fresh(record.spec, record.seq + 1, record.attempt, now, 0)
    after = again._replace(losses=record.losses)
    return Transition(after, event_of(after, EventKind.RETRIED), outcome=Outcome())


def keep_late(record: TaskRecord, cause: Succeed, now: int) -> Transition:
    """Keeps a result aside that came after the task had timed out."""
    after = record._replace(seq=record.seq + 1, updated_ms=now, digest=cause.digest)
    event = event_of(after, EventKind.LATE_RESULT)
    return Transition(after, event, outcome=Outcome(late_result=cause.result))


def finish(
    record: TaskRecord, target: Status, cause: Ending, now: int, rules: TaskRules
) -> Transition:
    """Ends a task, and its attempt if one is open."""
    attempt_outcome, error, code, outcome = verdict(cause)
    done = target in (Status.COMPLETED, Status.CANCELLED)
    keep = record.spec.result_ttl_ms or (rules.keep_done_ms if done else rules.keep_failed_ms)
    after = record._replace(
        status=target,
        seq=record.seq + 1,
        updated_ms=now,
        finished_ms=now,
        deadline_ms=0,
        attempt_deadline_ms=0,
        not_before_ms=0,
        purge_ms=now + keep,
        progress=100.0 if target is Status.COMPLETED else record.progress,
        error=error,
        code=code,
        digest=cause.digest,
    )
    closed = close(record, attempt_outcome, error, now) if record.running else None
    return Transition(after, event_of(after, EventKind.FINISHED, error), closed, outcome)


def fresh(spec: TaskSpec, seq: int, attempt: int, now: int, not_before_ms: int) -> TaskRecord:
    """Makes a task that waits as if it had just been created."""
    queued = max(now, not_before_ms)
    last = queued + spec.total_timeout_ms
    ends = queue_deadline(spec, queued, last)
    return TaskRecord(
        spec=spec,
        status=Status.PENDING,
        seq=seq,
        updated_ms=now,
        not_before_ms=not_before_ms,
        total_deadline_ms=last,
        deadline_ms=ends,
        queued_ms=queued,
        attempt=attempt,
        queue_deadline_ms=ends,
    )


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
    if record.flaw and outcome is not AttemptOutcome.SUCCEEDED:
        error = f"{error}; {misreported(record)}" if error else misreported(record)
    return Attempt(record.attempt, server_id, outcome, error, record.started_ms, now_ms)


def misreported(record: TaskRecord) -> str:
    """Says that a report of the latest attempt was refused; empty when none was."""
    return f"its last report was refused: {record.flaw}" if record.flaw else ""


def verdict(cause: Ending) -> tuple[AttemptOutcome, str, str, Outcome | None]:
    """Tells how an ending ends the attempt, its error and code, and what is to be stored."""
    match cause:
        case Succeed():
            return AttemptOutcome.SUCCEEDED, "", "", Outcome(result=cause.result)
        case Fail():
            return cause.outcome, cause.error, cause.code, Outcome(details=cause.details)
        case Expire():
            stored = Outcome(details=cause.details)
            return AttemptOutcome.TIMED_OUT, cause.error, cause.code, stored
        case Cancel():
            return AttemptOutcome.ABORTED, cause.reason, "CANCELLED", None
