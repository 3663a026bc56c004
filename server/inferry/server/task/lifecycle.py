"""The life of a task: one table of transitions and one function that applies them.

``TRANSITIONS`` maps (status, kind of input) to the next status. A pair that is not in the table is
illegal: ``apply`` raises and changes nothing. Everything here is pure: no I/O, no clock, no
randomness; the numbers come in as ``TaskRules``.

PENDING covers two situations: *waiting* (no server) and *dispatched* (a server's slot is held,
its first word is awaited). PROCESSING begins with that word. The guards in ``_GUARDS`` tell the two
apart; they are the only rules besides the table. (Design section 4.)
"""

from collections.abc import Callable, Mapping

from inferry.server.errors import IllegalTransitionError
from inferry.server.task import steps
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Expire,
    Fail,
    Hold,
    Input,
    Misreport,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.record import Event, EventKind, Status, TaskRecord, TaskSpec
from inferry.server.task.rules import TaskRules
from inferry.server.task.steps import Transition

TRANSITIONS: Mapping[tuple[Status, type[Input]], Status] = {
    (Status.PENDING, Claim): Status.PENDING,
    (Status.PENDING, Accept): Status.PROCESSING,
    (Status.PENDING, Progress): Status.PROCESSING,
    (Status.PENDING, Misreport): Status.PENDING,
    (Status.PENDING, Succeed): Status.COMPLETED,
    (Status.PENDING, Fail): Status.FAILED,
    (Status.PENDING, Release): Status.PENDING,
    (Status.PENDING, Hold): Status.PENDING,
    (Status.PENDING, Expire): Status.TIMEOUT,
    (Status.PENDING, Cancel): Status.CANCELLED,
    (Status.PROCESSING, Accept): Status.PROCESSING,
    (Status.PROCESSING, Progress): Status.PROCESSING,
    (Status.PROCESSING, Misreport): Status.PROCESSING,
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

#: What ended by a timeout or on somebody's word: a server that still works on it is told to stop.
STOPPED = frozenset(target for (_, kind), target in TRANSITIONS.items() if kind in (Expire, Cancel))
#: What can be started again.
RETRYABLE = tuple(sorted(status for status, kind in TRANSITIONS if kind is Retry))

#: Beyond the table: these need an open attempt, a claim needs that there is none. A late result
#: needs that there ever was an attempt and that no report of it ended the task.
_GUARDS: Mapping[type[Input], Callable[[TaskRecord], bool]] = {
    Claim: lambda record: record.waiting,
    Accept: lambda record: record.running,
    Progress: lambda record: record.running,
    Misreport: lambda record: record.running,
    Succeed: lambda record: (
        record.running or (record.status.final and record.attempt > 0 and not record.digest)
    ),
    Release: lambda record: record.running,
    Hold: lambda record: record.waiting,
}


def allowed(record: TaskRecord) -> list[str]:
    """Names the other statuses that one input can lead ``record`` to."""
    return sorted(
        {
            target.name
            for (status, kind), target in TRANSITIONS.items()
            if status is record.status and target is not status and _admits(record, kind)
        }
    )


def create(spec: TaskSpec, not_before_ms: int) -> tuple[TaskRecord, Event]:
    """Makes a new, waiting task and its first event."""
    record = steps.fresh(spec, 1, 0, spec.created_ms, not_before_ms)
    return record, steps.event_of(record, EventKind.CREATED)


def apply(  # noqa: PLR0911  # a return for each kind of step
    record: TaskRecord, cause: Input, now_ms: int, rules: TaskRules
) -> Transition:
    """Applies one input to a task.

    Raises:
        IllegalTransitionError: The table or a guard does not know the pair; nothing changed.
    """
    target = TRANSITIONS.get((record.status, type(cause)))
    if target is None or not _admits(record, type(cause)):
        situation = "waits in the queue" if record.waiting else f"is {record.status.name}"
        raise IllegalTransitionError(
            f"task {record.spec.id} {situation}: {type(cause).__name__.lower()} is not possible",
            status=record.status.name,
            allowed=allowed(record),
        )
    # Times within a task never go back: after a restart the clock may be a little behind.
    now_ms = max(now_ms, record.updated_ms)
    match cause:
        case Claim():
            return steps.claim(record, cause, now_ms, rules)
        case Accept() | Progress():
            return steps.report(record, target, cause, now_ms, rules)
        case Succeed() if target is Status.TIMEOUT:
            return steps.keep_late(record, cause, now_ms)
        case Succeed() | Fail() | Expire() | Cancel():
            return steps.finish(record, target, cause, now_ms, rules)
        case Misreport():
            return steps.misreport(record, cause, now_ms)
        case Release():
            return steps.release(record, cause, now_ms, rules)
        case Hold():
            return steps.hold(record, cause, now_ms)
        case Retry():
            return steps.retry(record, now_ms)


def _admits(record: TaskRecord, kind: type[Input]) -> bool:
    guard = _GUARDS.get(kind)
    return guard is None or guard(record)
