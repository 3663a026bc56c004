"""What is sent of an event: its name and its text. Pure.

The text is made with the event and never again: each try sends the same, whatever becomes of the
task meanwhile.
"""

from typing import Any

import orjson

from inferry.server.task.hook import DeliveryKey, HookEvent
from inferry.server.task.record import NO_LABELS, EventKind, Outcome, Status, TaskRecord
from inferry.server.task.steps import Transition
from inferry.wire.scalars import print_ms

#: A result or details beyond it are left out.
VALUE_BYTES = 20 * 1024

_NOTHING = Outcome()


def event_of(before: TaskRecord, transition: Transition) -> HookEvent | None:
    """Tells what a transition is to those who hear of it; None for nothing."""
    kind, status = transition.event.kind, transition.record.status
    if kind is EventKind.FINISHED:
        return HookEvent.COMPLETED
    if status is not Status.PROCESSING:
        return None
    if before.status is not Status.PROCESSING:
        return HookEvent.STARTED
    return HookEvent.PROGRESS if kind is EventKind.PROGRESSED else None


def type_of(event: HookEvent, status: Status) -> str:
    """Names a message's type: of an end, by what the task ended as."""
    word = status if event is HookEvent.COMPLETED else event
    return f"task.{word.name}".lower()


def message_id(key: DeliveryKey) -> str:
    """Names the message of an event: the same to all webhooks, however often it is sent."""
    return f"{key.task_id}_{key.seq}"


def body_of(event: HookEvent, transition: Transition, task_url: str) -> bytes:
    """Makes what is sent: a JSON text.

    Args:
        event: What it is to those who hear of it.
        transition: What happened.
        task_url: Where the task can be read.
    """
    record = transition.record
    spec = record.spec
    data: dict[str, Any] = {
        "id": spec.id,
        "type": spec.type,
        "status": record.status.name,
        "seq": record.seq,
        "attempt": record.attempt,
        "progress": record.progress,
        "createdAt": print_ms(spec.created_ms),
    }
    if spec.labels != NO_LABELS:
        data["labels"] = orjson.Fragment(spec.labels)
    if record.message:
        data["message"] = record.message
    if record.server_id:
        data["serverId"] = record.server_id
    if event is HookEvent.COMPLETED:
        _add_end(data, transition, task_url)
    return orjson.dumps(
        {
            "type": type_of(event, record.status),
            "timestamp": print_ms(record.updated_ms),
            "data": data,
        }
    )


def _add_end(data: dict[str, Any], transition: Transition, task_url: str) -> None:
    record, outcome = transition.record, transition.outcome or _NOTHING
    data["finishedAt"] = print_ms(record.finished_ms)
    if record.error:
        data["error"] = record.error
    if record.code:
        data["code"] = record.code
    for name, value in (("result", outcome.result), ("details", outcome.details)):
        if value is not None and len(value) <= VALUE_BYTES:
            data[name] = orjson.Fragment(value)
        elif value is not None:
            data[f"{name}Url"] = task_url
