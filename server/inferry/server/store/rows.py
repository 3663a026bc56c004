"""Records to rows and back.

Rows have the columns of a record's class, in the order of its fields; what differs is said here.
The tuples of names say which columns there are. Nothing here knows a database: both stores use it.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from inferry.server.fleet.record import ServerRecord, Transport
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Status,
    TaskRecord,
    TaskSpec,
)
from inferry.server.task.route import capabilities_of, route_of

Row = tuple[Any, ...]

#: A spec; its route carries its capabilities.
SPEC = tuple("route" if name == "capabilities" else name for name in TaskSpec._fields)
#: All else of a task.
RECORD = TaskRecord._fields[1:]
TASK = ("task_number", *SPEC, *RECORD)
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
    "queue_deadline_ms",
    "flaw",
    "losses",
)
STATE = (*REPORT, "status", *ENDING, *PLACING)
#: An event, without its task.
EVENT = Event._fields[1:]
ATTEMPT = Attempt._fields
#: Whose it is stands there where replicas share a store.
SERVER = tuple(field.name for field in fields(ServerRecord) if field.name != "owner")

# A look-up costs a third of what calling the enumeration does.
_STATUS = {int(status): status for status in Status}
_KIND = {int(kind): kind for kind in EventKind}
_OUTCOME = {int(outcome): outcome for outcome in AttemptOutcome}

_ROUTE, _ASYNCHRONOUS, _IDEMPOTENT = map(SPEC.index, ("route", "asynchronous", "idempotent"))
_RECORD_BEGINS = 1 + len(SPEC)
_STATUS_AT, _LOSSES = map(TaskRecord._fields.index, ("status", "losses"))
_TASK_ENDS = len(TASK)

#: Lays out the columns of ``REPORT``.
report_row: Callable[[TaskRecord], Row] = attrgetter(*REPORT)
#: Lays out the columns of ``ENDING``.
ending_row: Callable[[TaskRecord], Row] = attrgetter(*ENDING)
_placing_row: Callable[[TaskRecord], Row] = attrgetter(*PLACING[:-1])
_server_row: Callable[[ServerRecord], Row] = attrgetter(*SERVER)


def spec_row(spec: TaskSpec) -> Row:
    """Lays a spec out as the columns of ``SPEC``."""
    return (*spec[:_ROUTE], route_of(spec.type, spec.capabilities), *spec[_ROUTE + 1 :])


def placing_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``PLACING``."""
    losses = " ".join(map(str, record.losses)) if record.losses else ""
    return (*_placing_row(record), losses)


def state_row(record: TaskRecord) -> Row:
    """Lays out the columns of ``STATE``."""
    return (*report_row(record), record.status, *ending_row(record), *placing_row(record))


def task_of(row: Sequence[Any]) -> TaskRecord:
    """Reads a task from the columns of ``TASK``; what follows them is left alone."""
    spec = [*row[1:_RECORD_BEGINS]]
    spec[_ROUTE] = tuple(capabilities_of(spec[_ROUTE]))
    spec[_ASYNCHRONOUS], spec[_IDEMPOTENT] = spec[_ASYNCHRONOUS] == 1, spec[_IDEMPOTENT] == 1
    record = [TaskSpec(*spec), *row[_RECORD_BEGINS:_TASK_ENDS]]
    record[_STATUS_AT] = _STATUS[record[_STATUS_AT]]
    record[_LOSSES] = tuple(map(int, record[_LOSSES].split()))
    return TaskRecord(*record)


def event_row(event: Event) -> Row:
    """Lays an event out as the columns of ``EVENT``."""
    return event[1:]


def event_of(task_id: str, row: Sequence[Any]) -> Event:
    """Reads an event from the columns of ``EVENT``."""
    seq, at_ms, kind, status, *rest = row
    return Event(task_id, seq, at_ms, _KIND[kind], _STATUS[status], *rest)


def attempt_row(attempt: Attempt) -> Row:
    """Lays an attempt out as the columns of ``ATTEMPT``."""
    return attempt


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Reads an attempt from the columns of ``ATTEMPT``."""
    number, server_id, outcome, *rest = row
    return Attempt(number, server_id, _OUTCOME[outcome], *rest)


def server_row(record: ServerRecord) -> Row:
    """Lays a server out as the columns of ``SERVER``; its capabilities as JSON."""
    id_, url, name, capabilities, *rest = _server_row(record)
    return (id_, url, name, orjson.dumps(sorted(capabilities)), *rest)


def server_of(row: Sequence[Any]) -> ServerRecord:
    """Reads a server from the columns of ``SERVER``."""
    id_, url, name, capabilities, slots, metadata, draining, private, *rest = row
    created_ms, updated_ms, transport, tenant, labels = rest
    return ServerRecord(
        id_,
        url,
        name,
        frozenset(orjson.loads(capabilities)),
        slots,
        metadata,
        bool(draining),
        bool(private),
        created_ms,
        updated_ms,
        Transport(transport),
        tenant,
        labels,
    )
