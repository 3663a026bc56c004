"""Records -> protobuf messages, field by field: ``json_format`` takes four times as long."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson

from inferry.server.engine.signals import Place
from inferry.server.errors import UnfitValueError
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load
from inferry.server.task.record import NO_LABELS, Attempt, Event, Outcome, TaskRecord
from inferry.server.telemetry.trace import kept_trace_id
from inferry.v1 import server_pb2, task_pb2
from inferry.wire.errors import FieldError
from inferry.wire.structs import struct_of, value_of

#: How JSON values come.
ValueFormat: TypeAlias = task_pb2.ValueFormat.ValueType


def timestamp(ms: int) -> Any:
    """Converts milliseconds since 1970-01-01 UTC to what a message makes a ``Timestamp`` of.

    One that is made already would be copied. 0 is no time.
    """
    if not ms:
        return None
    seconds, rest = divmod(ms, 1_000)
    return {"seconds": seconds, "nanos": rest * 1_000_000}


def task_to_proto(
    record: TaskRecord, place: Place | None = None, unserved: str = ""
) -> task_pb2.Task:
    """Converts a task without its payload and what it ended with.

    Args:
        record: The task.
        place: Where it stands in the queue; None when it does not.
        unserved: Why it waits in vain; empty when it does not.
    """
    spec = record.spec
    return task_pb2.Task(
        id=spec.id,
        type=spec.type,
        status=task_pb2.Task.Status.ValueType(record.status),
        error=record.error,
        code=record.code,
        progress=record.progress,
        message=record.message,
        asynchronous=spec.asynchronous,
        server_id=record.server_id or "",
        attempt=record.attempt,
        max_attempts=spec.max_attempts,
        timeout_ms=spec.timeout_ms,
        queue_timeout_ms=spec.queue_timeout_ms,
        silence_timeout_ms=spec.silence_timeout_ms,
        total_timeout_ms=spec.total_timeout_ms,
        result_ttl_ms=spec.result_ttl_ms,
        priority=spec.priority,
        capabilities=spec.capabilities or None,
        labels=None if spec.labels == NO_LABELS else orjson.loads(spec.labels),
        idempotent=spec.idempotent,
        tenant=spec.tenant,
        not_before=timestamp(record.not_before_ms),
        created_at=timestamp(spec.created_ms),
        updated_at=timestamp(record.updated_ms),
        started_at=timestamp(record.started_ms),
        finished_at=timestamp(record.finished_ms),
        queue_position=None if place is None else place.position,
        estimated_start_at=None if place is None else timestamp(place.starts_ms),
        queue_position_at_least=None if place is None or place.exact else True,
        trace_id=kept_trace_id(spec.traceparent),
        unserved=unserved,
    )


def add_values(
    task: task_pb2.Task,
    value_format: ValueFormat,
    payload: bytes | None,
    outcome: Outcome,
    largest: int,
) -> task_pb2.Task:
    """Adds a task's JSON values, in the form that its reader asked for; returns the task.

    Args:
        task: The task.
        value_format: How JSON values come.
        payload: A JSON object; None leaves it out.
        outcome: What the task ended with.
        largest: Bytes that the task may have as a message.

    Raises:
        UnfitValueError: One of them does not fit a ``Struct``, or all of them the message.
    """
    if value_format == task_pb2.JSON_TEXT:
        task.payload_json = payload or b""
        task.result_json = outcome.result or b""
        task.details_json = outcome.details or b""
        task.late_result_json = outcome.late_result or b""
        return task
    values = (
        ("payload", payload, struct_of),
        ("result", outcome.result, value_of),
        ("details", outcome.details, struct_of),
        ("late_result", outcome.late_result, value_of),
    )
    for name, text, convert in values:
        if text is None:
            continue
        try:
            getattr(task, name).CopyFrom(convert(text))
        except FieldError as error:
            error.within(name)
            raise _unfit(task, f"{error}: it does not fit a protobuf Struct") from None
    if task.ByteSize() > largest:
        raise _unfit(task, f"with its JSON as Structs the task has {task.ByteSize()} bytes")
    return task


def leave_out(
    task: task_pb2.Task, payload: bytes | None, outcome: Outcome, limit: int
) -> tuple[bytes | None, Outcome]:
    """Leaves out what has more than ``limit`` bytes, and says so; 0 leaves out nothing."""
    values = {"payload": payload, **outcome._asdict()}
    for name, text in values.items():
        if text is not None and len(text) > limit > 0:
            setattr(task.left_out, name, len(text))
            values[name] = None
    return values.pop("payload"), Outcome(**values)


def _unfit(task: task_pb2.Task, why: str) -> UnfitValueError:
    status = task_pb2.Task.Status.Name(task.status)
    text = f"{why}; ask for the text (value_format: JSON_TEXT)"
    return UnfitValueError(text, taskId=task.id, status=status)


def attempt_to_proto(attempt: Attempt) -> task_pb2.Attempt:
    """Converts an attempt."""
    return task_pb2.Attempt(
        number=attempt.number,
        server_id=attempt.server_id,
        outcome=task_pb2.Attempt.Outcome.ValueType(attempt.outcome),
        error=attempt.error,
        started_at=timestamp(attempt.started_ms),
        ended_at=timestamp(attempt.ended_ms),
    )


def event_to_proto(event: Event, task: task_pb2.Task | None) -> task_pb2.TaskEvent:
    """Converts an event; ``task`` comes with the one that ended it."""
    return task_pb2.TaskEvent(**event_fields(event, task))


def event_fields(event: Event, task: task_pb2.Task | None) -> dict[str, Any]:
    """Does so for who makes it where it is to be: a message that is put into another is copied."""
    _, seq, at_ms, kind, status, progress, message, attempt, server_id = event
    return {
        "task_id": event.task_id,
        "seq": seq,
        "kind": kind,
        "status": status,
        "progress": progress,
        "message": message,
        "attempt": attempt,
        "server_id": server_id,
        "time": timestamp(at_ms),
        "task": task,
    }


def place_to_proto(seq: int, task_id: str, place: Place) -> task_pb2.TaskEvent:
    """Makes the word on a waiting task's place, after the event ``seq``."""
    return task_pb2.TaskEvent(
        task_id=task_id,
        seq=seq,
        kind=task_pb2.TaskEvent.QUEUED,
        status=task_pb2.Task.PENDING,
        queue_position=place.position,
        estimated_start_at=timestamp(place.starts_ms),
        queue_position_at_least=None if place.exact else True,
    )


def gap_to_proto(seq: int, task: task_pb2.Task | None) -> task_pb2.TaskEvent:
    """Makes the event that stands for those up to ``seq`` that are no longer kept."""
    now = task or task_pb2.Task()
    return task_pb2.TaskEvent(
        task_id=now.id,
        seq=seq,
        kind=task_pb2.TaskEvent.GAP,
        status=now.status,
        progress=now.progress,
        message=now.message,
        attempt=now.attempt,
        server_id=now.server_id,
        time=now.updated_at if now.HasField("updated_at") else None,
        task=task,
    )


def server_to_proto(member: Member, notes: Sequence[str] = ()) -> server_pb2.Server:
    """Converts a server, with what looks like a mistake about it."""
    record, load = member.record, member.load
    return server_pb2.Server(
        id=record.id,
        url=record.url,
        name=record.name,
        capabilities=sorted(record.capabilities),
        max_concurrent=record.max_concurrent,
        metadata=struct_of(record.metadata),
        status=server_pb2.Server.Status.ValueType(member.status),
        load=None if load is None else load_to_proto(load),
        active=member.active,
        success_rate=member.success_rate,
        last_seen_at=timestamp(member.lease.seen_ms),
        created_at=timestamp(record.created_ms),
        updated_at=timestamp(record.updated_ms),
        last_error=member.last_error,
        breaker=server_pb2.Server.Breaker.ValueType(member.breaker.state),
        retry_at=timestamp(member.retry_ms),
        transport=server_pb2.Server.Transport.ValueType(record.transport),
        connection=server_pb2.Server.Connection.ValueType(member.connection or 0),
        tenant=record.tenant,
        labels=orjson.loads(record.labels),
        credit=member.credit,
        worker_idle_with_backlog_ms=0 if member.line is None else member.line.idle_ms,
        notes=notes,
        probed_at=timestamp(member.probed_ms),
    )


def load_to_proto(load: Load) -> server_pb2.Load:
    """Converts a load."""
    return server_pb2.Load(
        cpu=load.cpu,
        memory=load.memory,
        active_tasks=load.active_tasks,
        queue_length=load.queue_length,
    )
