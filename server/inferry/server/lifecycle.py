"""The life of a task: one table of transitions and one function that applies them.

``TRANSITIONS`` maps (status, kind of input) to the next status. A pair that is not in the table is
illegal: ``apply`` raises and changes nothing. Everything here is pure: no I/O, no clock, no
randomness; the numbers come in as ``Rules``.

PENDING covers two situations: *waiting* (no server) and *dispatched* (a server's slot is held,
its first word is awaited). PROCESSING begins with that word. The guards in ``_GUARDS`` tell the two
apart; they are the only rules besides the table. (Design section 4.)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from inferry.server.errors import IllegalTransitionError
from inferry.server.inputs import (
    Accept,
    Cancel,
    Claim,
    Ending,
    Expire,
    Fail,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task import Attempt, Event, EventKind, Outcome, Status, TaskRecord, TaskSpec
from inferry.server.traces import close, event_of, verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of a task's life, in milliseconds."""

    #: What the gateway waits beyond an attempt's timeout, so that a backend's own TIMEOUT wins.
    grace_ms: int = 2_000
    #: From creation (or retry) to a final status, at most.
    total_ms: int = 86_400_000
    #: Retention of COMPLETED and CANCELLED tasks.
    keep_done_ms: int = 86_400_000
    #: Retention of FAILED and TIMEOUT tasks.
    keep_failed_ms: int = 7 * 86_400_000


TRANSITIONS: Mapping[tuple[Status, type[Input]], Status] = {
    (Status.PENDING, Claim): Status.PENDING,
    (Status.PENDING, Accept): Status.PROCESSING,
    (Status.PENDING, Progress): Status.PROCESSING,
    (Status.PENDING, Succeed): Status.COMPLETED,
    (Status.PENDING, Fail): Status.FAILED,
    (Status.PENDING, Release): Status.PENDING,
    (Status.PENDING, Expire): Status.TIMEOUT,
    (Status.PENDING, Cancel): Status.CANCELLED,
    (Status.PROCESSING, Accept): Status.PROCESSING,
    (Status.PROCESSING, Progress): Status.PROCESSING,
    (Status.PROCESSING, Succeed): Status.COMPLETED,
    (Status.PROCESSING, Fail): Status.FAILED,
    (Status.PROCESSING, Release): Status.PENDING,
    (Status.PROCESSING, Expire): Status.TIMEOUT,
    (Status.PROCESSING, Cancel): Status.CANCELLED,
    (Status.FAILED, Retry): Status.PENDING,
    (Status.TIMEOUT, Retry): Status.PENDING,
    (Status.TIMEOUT, Succeed): Status.TIMEOUT,
    (Status.CANCELLED, Retry): Status.PENDING,
}

#: Beyond the table: these need an open attempt, a claim needs that there is none. A late result
#: needs that there ever was an attempt and that no report of it ended the task.
_GUARDS: Mapping[type[Input], Callable[[TaskRecord], bool]] = {
    Claim: lambda record: record.waiting,
    Accept: lambda record: record.held,
    Progress: lambda record: record.held,
    Succeed: lambda record: (
        record.held or (record.status.final and record.attempt > 0 and not record.digest)
    ),
    Release: lambda record: record.held,
}


class Transition(NamedTuple):
    """What an input did: the record after it, the event to log, and what else is to be stored."""

    record: TaskRecord
    event: Event
    #: The attempt that this ended.
    closed: Attempt | None = None
    #: What it brought or, as an empty ``Outcome``, took away; None leaves what is stored.
    outcome: Outcome | None = None


def allowed(record: TaskRecord) -> list[str]:
    """Names the other statuses that one input can lead ``record`` to."""
    return sorted(
        {
            target.name
            for (status, kind), target in TRANSITIONS.items()
            if status is record.status and target is not status and _admits(record, kind)
        }
    )


def create(spec: TaskSpec, not_before_ms: int, rules: Rules) -> tuple[TaskRecord, Event]:
    """Makes a new, waiting task and its first event."""
    record = _fresh(spec, 1, 0, spec.created_ms, not_before_ms, rules)
    return record, event_of(record, EventKind.CREATED)


def apply(record: TaskRecord, given: Input, now_ms: int, rules: Rules) -> Transition:
    """Applies one input to a task.

    Raises:
        IllegalTransitionError: The table or a guard does not know the pair; nothing changed.
    """
    target = TRANSITIONS.get((record.status, type(given)))
    if target is None or not _admits(record, type(given)):
        situation = "waits in the queue" if record.waiting else f"is {record.status.name}"
        raise IllegalTransitionError(
            f"task {record.spec.id} {situation}: {type(given).__name__.lower()} is not possible",
            status=record.status.name,
            allowed=allowed(record),
        )
    match given:
        case Claim():
            return _claim(record, given, now_ms, rules)
        case Accept() | Progress():
            return _report(record, target, given, now_ms)
        case Release():
            return _release(record, given, now_ms)
        case Retry():
            return _retry(record, now_ms, rules)
        case Succeed() if target is Status.TIMEOUT:
            return _keep_late(record, given, now_ms)
        case Succeed() | Fail() | Expire() | Cancel():
            return _finish(record, target, given, now_ms, rules)


def _admits(record: TaskRecord, kind: type[Input]) -> bool:
    guard = _GUARDS.get(kind)
    return guard is None or guard(record)


def _claim(record: TaskRecord, given: Claim, now: int, rules: Rules) -> Transition:
    run_until = now + record.spec.timeout_ms + rules.grace_ms
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
        deadline_ms=min(run_until, record.total_deadline_ms),
    )
    return Transition(after, event_of(after, EventKind.DISPATCHED))


def _report(record: TaskRecord, target: Status, given: Accept | Progress, now: int) -> Transition:
    progress, message, kind = record.progress, record.message, EventKind.ACCEPTED
    if isinstance(given, Progress):
        kind = EventKind.PROGRESSED
        target = target if given.working else record.status
        if given.progress is not None:
            progress = max(progress, min(100.0, max(0.0, given.progress)))
    message = message if given.message is None else given.message
    after = record._replace(
        status=target,
        seq=record.seq + 1,
        updated_ms=now,
        progress=progress,
        message=message,
    )
    return Transition(after, event_of(after, kind, message))


def _release(record: TaskRecord, given: Release, now: int) -> Transition:
    not_before, last = given.not_before_ms, record.total_deadline_ms
    after = record._replace(
        status=Status.PENDING,
        seq=record.seq + 1,
        updated_ms=now,
        server_id=None,
        attempts_counted=record.attempts_counted - (not given.counts),
        not_before_ms=not_before,
        deadline_ms=_queue_deadline(record.spec, not_before, now, last),
    )
    closed = close(record, given.outcome, given.reason, now)
    return Transition(after, event_of(after, EventKind.REQUEUED, given.reason), closed)


def _retry(record: TaskRecord, now: int, rules: Rules) -> Transition:
    after = _fresh(record.spec, record.seq + 1, record.attempt, now, 0, rules)
    return Transition(after, event_of(after, EventKind.RETRIED), outcome=Outcome())


def _keep_late(record: TaskRecord, given: Succeed, now: int) -> Transition:
    after = record._replace(seq=record.seq + 1, updated_ms=now, digest=given.digest)
    event = event_of(after, EventKind.LATE_RESULT)
    return Transition(after, event, outcome=Outcome(late_result=given.result))


def _finish(
    record: TaskRecord, target: Status, given: Ending, now: int, rules: Rules
) -> Transition:
    attempt_outcome, error, code, outcome = verdict(given)
    done = target in (Status.COMPLETED, Status.CANCELLED)
    keep = record.spec.result_ttl_ms or (rules.keep_done_ms if done else rules.keep_failed_ms)
    after = record._replace(
        status=target,
        seq=record.seq + 1,
        updated_ms=now,
        finished_ms=now,
        deadline_ms=0,
        not_before_ms=0,
        purge_ms=now + keep,
        progress=100.0 if target is Status.COMPLETED else record.progress,
        error=error,
        code=code,
        digest=given.digest,
    )
    closed = close(record, attempt_outcome, error, now) if record.held else None
    return Transition(after, event_of(after, EventKind.FINISHED, error), closed, outcome)


def _fresh(
    spec: TaskSpec, seq: int, attempt: int, now: int, not_before_ms: int, rules: Rules
) -> TaskRecord:
    last = max(now, not_before_ms) + rules.total_ms
    return TaskRecord(
        spec=spec,
        status=Status.PENDING,
        seq=seq,
        updated_ms=now,
        not_before_ms=not_before_ms,
        total_deadline_ms=last,
        deadline_ms=_queue_deadline(spec, not_before_ms, now, last),
        attempt=attempt,
    )


def _queue_deadline(spec: TaskSpec, not_before_ms: int, now: int, last: int) -> int:
    return min(max(now, not_before_ms) + spec.queue_timeout_ms, last)
