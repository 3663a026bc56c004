"""Records to rows and back, by position.

The tuples of names say which columns there are and in which order; the functions below them build
and take apart rows in that order. Nothing here knows a database: both stores use it.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from inferry.server.fleet.record import ServerRecord
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Status,
    TaskRecord,
    TaskSpec,
)
from inferry.server.task.route import route_of

Row = tuple[Any, ...]

SPEC = (
    "id",
    "tenant",
    "type",
    "route",
    "labels",
    "asynchronous",
    "priority",
    "timeout_ms",
    "queue_timeout_ms",
    "silence_timeout_ms",
    "total_timeout_ms",
    "result_ttl_ms",
    "max_attempts",
    "idempotent",
    "created_ms",
)
#: What a progress report changes.
REPORT = ("seq", "updated_ms", "progress", "message")
#: What the end of a task changes besides its status.
ENDING = (
    "deadline_ms",
    "attempt_deadline_ms",
    "error",
    "code",
    "finished_ms",
    "purge_ms",
    "digest",
)
#: What a claim, a release and a retry change besides all that.
PLACING = (
    "not_before_ms",
    "total_deadline_ms",
    "attempt",
    "attempts_counted",
    "server_id",
    "started_ms",
    "queued_ms",
    "losses",
    "queue_deadline_ms",
    "flaw",
)
STATE = (*REPORT, "status", *ENDING, *PLACING)
TASK = ("place", *SPEC, *STATE)
EVENT = ("seq", "at_ms", "kind", "status", "progress", "message", "attempt", "server_id")
ATTEMPT = ("number", "server_id", "outcome", "error", "started_ms", "ended_ms")
SERVER = (
    "id",
    "url",
    "name",
    "capabilities",
    "max_concurrent",
    "metadata",
    "draining",
    "private_allowed",
    "created_ms",
    "updated_ms",
)

# A look-up costs a third of what calling the enumeration does.
_STATUS = {int(status): status for status in Status}
_KIND = {int(kind): kind for kind in EventKind}
_OUTCOME = {int(outcome): outcome for outcome in AttemptOutcome}


def spec_row(spec: TaskSpec) -> Row:
    """Lays a spec out as the columns of ``SPEC``. Its route carries its capabilities."""
    return (
        spec.id,
        spec.tenant,
        spec.type,
        route_of(spec.type, spec.capabilities),
        spec.labels,
        spec.asynchronous,
        spec.priority,
        spec.timeout_ms,
        spec.queue_timeout_ms,
        spec.silence_timeout_ms,
        spec.total_timeout_ms,
        spec.result_ttl_ms,
        spec.max_attempts,
        spec.idempotent,
        spec.created_ms,
    )


def report_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``REPORT``."""
    return record.seq, record.updated_ms, record.progress, record.message


def ending_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``ENDING``."""
    return (
        record.deadline_ms,
        record.attempt_deadline_ms,
        record.error,
        record.code,
        record.finished_ms,
        record.purge_ms,
        record.digest,
    )


def placing_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``PLACING``."""
    return (
        record.not_before_ms,
        record.total_deadline_ms,
        record.attempt,
        record.attempts_counted,
        record.server_id,
        record.started_ms,
        record.queued_ms,
        " ".join(map(str, record.losses)) if record.losses else "",
        record.queue_deadline_ms,
        record.flaw,
    )


def state_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``STATE``."""
    return (*report_row(record), record.status, *ending_row(record), *placing_row(record))


def task_of(row: Sequence[Any]) -> TaskRecord:
    """Reads a task from the columns of ``TASK``; what follows them is left alone."""
    # The spec's and then the record's fields, in the order of their classes.
    spec = TaskSpec(
        row[1], row[2], row[3], tuple(row[4].split("\n")[1:]), row[5], row[6] == 1, row[7],
        row[8], row[9], row[10], row[11], row[12], row[13], row[14] == 1, row[15],
    )  # fmt: skip
    return TaskRecord(
        spec, _STATUS[row[20]], row[16], row[17], row[28], row[29], row[21], row[34], row[30],
        row[31], row[32], row[33], row[22], tuple(map(int, row[35].split())), row[18], row[19],
        row[37], row[23], row[24], row[25], row[26], row[27], row[36],
    )  # fmt: skip


def event_row(event: Event) -> Row:
    """Lays an event out as the columns of ``EVENT``."""
    return (
        event.seq,
        event.at_ms,
        event.kind,
        event.status,
        event.progress,
        event.message,
        event.attempt,
        event.server_id,
    )


def event_of(task_id: str, row: Sequence[Any]) -> Event:
    """Reads an event from the columns of ``EVENT``."""
    seq, at_ms, kind, status, *rest = row
    return Event(task_id, seq, at_ms, _KIND[kind], _STATUS[status], *rest)


def attempt_row(attempt: Attempt) -> Row:
    """Lays an attempt out as the columns of ``ATTEMPT``."""
    return (
        attempt.number,
        attempt.server_id,
        attempt.outcome,
        attempt.error,
        attempt.started_ms,
        attempt.ended_ms,
    )


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Reads an attempt from the columns of ``ATTEMPT``."""
    number, server_id, outcome, *rest = row
    return Attempt(number, server_id, _OUTCOME[outcome], *rest)


def server_row(record: ServerRecord) -> Row:
    """Lays a server out as the columns of ``SERVER``."""
    return (
        record.id,
        record.url,
        record.name,
        orjson.dumps(sorted(record.capabilities)),
        record.max_concurrent,
        record.metadata,
        record.draining,
        record.private_allowed,
        record.created_ms,
        record.updated_ms,
    )


def server_of(row: Sequence[Any]) -> ServerRecord:
    """Reads a server from the columns of ``SERVER``."""
    id_, url, name, capabilities, slots, metadata, draining, private, created, updated = row
    return ServerRecord(
        id_,
        url,
        name,
        frozenset(orjson.loads(capabilities)),
        slots,
        metadata,
        bool(draining),
        bool(private),
        created,
        updated,
    )
