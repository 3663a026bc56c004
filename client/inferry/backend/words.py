"""What becomes of work, as reports: its result, or why there is none. Pure."""

import dataclasses
import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import orjson

from inferry.backend.errors import TaskError, TaskTimeout
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.errors import FieldError, NoJsonError, writable
from inferry.wire.limits import CODE_CHARS, TEXT_CHARS
from inferry.wire.text import parse

#: Integers from here on may be beyond 64 bits, which orjson rounds.
_MANY_DIGITS = re.compile(rb"\d{19}")


def read_payload(text: bytes) -> Any:
    """Reads a payload; its integers are exact, whatever their size.

    Raises:
        FieldError: It is no JSON, or has an integer of more digits than Python reads.
    """
    if not _MANY_DIGITS.search(text):
        return parse(text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise NoJsonError(getattr(error, "pos", 0), str(error)) from None


def completed(value: Any, limit: int) -> TaskUpdate:
    """Makes the report of a result; of the failure that it is when it cannot travel.

    Args:
        value: What the handler returned; an ``orjson.Fragment`` is a JSON text of its own.
        limit: Bytes that the result's JSON text may have.
    """
    try:
        text = _text(value)
    except Exception as error:  # noqa: BLE001 - objects of anybody's making are asked
        return failed(f"the result is no JSON: {_said_by(error)}")
    if len(text) > limit:
        return failed(
            f"the result has {len(text):,} bytes of JSON, {limit:,} at most: "
            "store it elsewhere, and return where",
            "RESOURCE_LIMIT",
        )
    return TaskUpdate(status=Task.COMPLETED, result_json=text)


def failed(
    error: str, code: str = "INTERNAL_ERROR", details: Mapping[str, Any] | None = None
) -> TaskUpdate:
    """Makes the report of a failure."""
    update = TaskUpdate(
        status=Task.FAILED, error=writable(error)[:TEXT_CHARS], code=writable(code)[:CODE_CHARS]
    )
    if details is not None:
        update.details_json = orjson.dumps(details)
    return update


def raised(error: BaseException) -> TaskUpdate:
    """Makes the report of what a handler raised."""
    if not isinstance(error, TaskError):
        kind = type(error).__name__
        return failed(_said_by(error) or kind, details={"exception": kind})
    update = failed(str(error.message), str(error.code))
    if isinstance(error, TaskTimeout):
        update.status = Task.TIMEOUT
    update.retryable = error.retryable
    if error.details is not None:
        try:
            update.details_json = _text(dict(error.details))
        except Exception as wrong:  # noqa: BLE001 - as for a result
            text = writable(f"the details are no JSON: {_said_by(wrong)}")[:TEXT_CHARS]
            update.details_json = orjson.dumps({"unreadable": text})
    return update


def _said_by(error: BaseException) -> str:
    """Gives the text of an exception; empty where it has none to give."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it is of anybody's making
        return ""


def timed_out(after_s: float) -> TaskUpdate:
    """Makes the report of work that was not done in its time."""
    return TaskUpdate(status=Task.TIMEOUT, error=f"not done in {after_s:g} s", code="TIMEOUT")


def interrupted() -> TaskUpdate:
    """Makes the report of work that the backend had to break off."""
    update = failed("the backend stopped", details={"reason": "interrupted"})
    update.loss = TaskUpdate.INTERRUPTED
    return update


def not_started(why: str) -> TaskUpdate:
    """Makes the report of work that is given back before it began."""
    update = failed(why, details={"reason": "not_started"})
    update.loss = TaskUpdate.NOT_STARTED
    return update


def process_died(how: str) -> TaskUpdate:
    """Makes the report of work whose process died; ``how`` as in ``exit status 3``."""
    update = failed(f"the process of the work died: {how}", details={"reason": "process_died"})
    update.loss = TaskUpdate.PROCESS_DIED
    return update


def unreadable(error: FieldError) -> TaskUpdate:
    """Makes the report of a payload that cannot be read."""
    return failed(f"payload: {error}", "INVALID_PAYLOAD")


def _text(value: Any) -> bytes:
    try:
        text = orjson.dumps(value)
    except TypeError:
        # Integers of any size, keys that are numbers: what the standard library can write.
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    # orjson writes NaN as null, which says something else.
    if b"null" in text and not _finite(value):
        raise ValueError("it holds NaN or an infinity: JSON has neither")
    return text


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if dataclasses.is_dataclass(value):
        return all(_finite(getattr(value, one.name)) for one in dataclasses.fields(value))
    return True
