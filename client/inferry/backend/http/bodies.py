"""What the gateway posts, and what it is told, as JSON (guide: "Task Processing")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from inferry.backend.attempt import Assignment
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.errors import FieldError, expected
from inferry.wire.members import members
from inferry.wire.text import parse
from inferry.wire.trace import TRACEPARENT, TRACESTATE

#: How long an attempt may run of which the gateway does not say it.
_TIMEOUT_MS = 300_000
_EMPTY = b"{}"

Json = dict[str, Any]

#: The end of a synchronous task that was cancelled.
CANCELLED: Json = {"status": "error", "error": "cancelled", "code": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Named:
    """An attempt, as a body names it."""

    id: str
    #: None where the gateway does not count attempts.
    attempt: int | None


def read_named(body: bytes) -> Named:
    """Reads which attempt a body speaks of.

    Raises:
        FieldError: It does not say so.
    """
    return _named(members(body))


def read_job(
    body: bytes, attempt: int, headers: Mapping[str, str]
) -> tuple[Assignment, str | None]:
    """Reads what ``POST /process`` hands over; the payload stays the text that it is.

    Args:
        body: As it came.
        attempt: The attempt's number.
        headers: With the trace that it belongs to, if any.

    Returns:
        The work and its callback URL, None if the answer is to carry the result.

    Raises:
        FieldError: A member is missing or of another kind.
    """
    given = members(body)
    callback_url = _plain(given, "callback_url")
    if not isinstance(callback_url, str | None):
        raise expected("callback_url: a text or null", callback_url)
    timeout_ms = _plain(given, "timeout") or _TIMEOUT_MS
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int | float) or timeout_ms < 0:
        raise expected("timeout: a number of milliseconds", timeout_ms)
    assignment = Assignment(
        task_id=_named(given).id,
        attempt=attempt,
        type=str(_plain(given, "type") or ""),
        payload=given.get("payload", _EMPTY),
        timeout_s=timeout_ms / 1_000,
        traceparent=headers.get(TRACEPARENT, ""),
        tracestate=headers.get(TRACESTATE, ""),
    )
    return assignment, callback_url or None


def callback(update: TaskUpdate) -> Json:
    """Writes a report for ``PUT {callback_url}``."""
    said: Json = {"status": Task.Status.Name(update.status)}
    for field, value in update.ListFields():
        name = field.name
        if name in ("status", "result_json", "details_json", "loss"):
            continue
        said[name] = value
    if update.HasField("result_json"):
        said["result"] = orjson.Fragment(update.result_json)
    if update.HasField("details_json"):
        said["details"] = orjson.Fragment(update.details_json)
    if update.loss:
        said["loss"] = TaskUpdate.Loss.Name(update.loss)
    return said


def answer(update: TaskUpdate) -> Json:
    """Writes a last report in the words of a synchronous answer."""
    said = callback(update)
    if update.status == Task.COMPLETED:
        return {"status": "success", "result": said["result"]}
    return {**said, "status": "error"}


def _named(given: dict[str, bytes]) -> Named:
    task_id, attempt = _plain(given, "id"), _plain(given, "attempt")
    if not isinstance(task_id, str) or not task_id:
        raise expected("id: a text", task_id)
    if attempt is not None and (type(attempt) is not int or attempt < 1):
        raise expected("attempt: a number from 1", attempt)
    return Named(task_id, attempt)


def _plain(given: dict[str, bytes], name: str) -> Any:
    try:
        return parse(given.get(name, b"null"))
    except FieldError as error:
        error.within(name)
        raise
