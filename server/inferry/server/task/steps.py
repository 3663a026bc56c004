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


def claim(record: TaskRecord, given: Claim, now: int, rules: TaskRules) -> Transition:
    """Gives a waiting task to a server: the next attempt begins."""
    last = record.total_deadline_ms
    attempt_deadline = min(now + record.spec.timeout_ms + rules.grace_ms, last)
    after = record._replace(
        seq=record.seq + 1,
        updated_ms=now,
        attempt=record.attempt + 1,
        attempts_counted=record.attempts_counted + 1,
        server_id=given.server_id,
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
    record: TaskRecord, target: Status, given: Accept | Progress, now: int, rules: TaskRules
) -> Transition:
    """Takes a word of the server: it breaks the silence, and may extend the attempt."""
    progress, message, kind = record.progress, record.message, EventKind.ACCEPTED
    run_until, last = record.attempt_deadline_ms, record.total_deadline_ms
    if isinstance(given, Progress):
        kind = EventKind.PROGRESSED
        target = target if given.working else record.status
        if given.progress is not None:
            progress = max(progress, min(100.0, max(0.0, given.progress)))
        if given.extend_ms:
            run_until = max(run_until, min(now + given.extend_ms + rules.grace_ms, last))
    message = message if given.message is None else given.message
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


def misreport(record: TaskRecord, given: Misreport, now: int) -> Transition:
    """Keeps why a report was refused: whoever looks for the end of the attempt finds it there."""
    deadline = run_deadline(
        record.spec, record.attempt_deadline_ms, record.total_deadline_ms, heard_ms=now
    )
    after = record._replace(
        seq=record.seq + 1, updated_ms=now, flaw=given.reason, deadline_ms=deadline
    )
    return Transition(after, event_of(after, EventKind.MISREPORTED, given.reason))


def release(record: TaskRecord, given: Release, now: int, rules: TaskRules) -> Transition:
    """Ends an attempt without ending the task: it waits again."""
    # What was refused did not run: it keeps its turn, and its wait goes on.
    refused = given.outcome is AttemptOutcome.REFUSED
    queued, ends = record.queued_ms, record.queue_deadline_ms
    if not refused:
        queued = max(now, given.not_before_ms)
        ends = queue_deadline(record.spec, queued, record.total_deadline_ms)
    lost = given.outcome is AttemptOutcome.LOST
    after = record._replace(
        status=Status.PENDING,
        seq=record.seq + 1,
        updated_ms=now,
        server_id=None,
        attempts_counted=record.attempts_counted - (not given.counts),
        not_before_ms=given.not_before_ms,
        queued_ms=queued,
        attempt_deadline_ms=0,
        deadline_ms=ends,
        queue_deadline_ms=ends,
        losses=(*record.losses, now)[-rules.poison_losses :] if lost else record.losses,
    )
    closed = close(record, given.outcome, given.reason, now)
    return Transition(after, event_of(after, EventKind.REQUEUED, given.reason), closed)


def hold(record: TaskRecord, given: Hold, now: int) -> Transition:
    """Begins the queue wait of a task anew."""
    ends = queue_deadline(record.spec, now, record.total_deadline_ms)
    after = record._replace(
        seq=record.seq + 1, updated_ms=now, deadline_ms=ends, queue_deadline_ms=ends
    )
    return Transition(after, event_of(after, EventKind.HELD, given.reason))


def retry(record: TaskRecord, now: int) -> Transition:
    """Starts a final task again; numbers of events and attempts go on."""
    again = fresh(record.spec, record.seq + 1, record.attempt, now, 0)
    after = again._replace(losses=record.losses)
    return Transition(after, event_of(after, EventKind.RETRIED), outcome=Outcome())


def keep_late(record: TaskRecord, given: Succeed, now: int) -> Transition:
    """Keeps a result aside that came after the task had timed out."""
    after = record._replace(seq=record.seq + 1, updated_ms=now, digest=given.digest)
    event = event_of(after, EventKind.LATE_RESULT)
    return Transition(after, event, outcome=Outcome(late_result=given.result))


def finish(
    record: TaskRecord, target: Status, given: Ending, now: int, rules: TaskRules
) -> Transition:
    """Ends a task, and its attempt if one is open."""
    attempt_outcome, error, code, outcome = verdict(given)
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
        digest=given.digest,
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
