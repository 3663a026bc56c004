"""Python values <-> the JSON texts that travel.

With Python's own ``json``: integers of any size stay what they are, and what JSON has no word for
is refused where another library would write ``null``.
"""

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from inferry.client.errors import InferryError

#: What a task works on: a mapping, a dataclass, a model of pydantic, or the JSON text of an object.
Payload = Any


@runtime_checkable
class Model(Protocol):
    """A model of pydantic, which need not be installed."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Gives its fields as what JSON has for them."""
        ...


def payload_text(payload: Payload) -> bytes:
    """Writes a payload as a JSON text; bytes are one and stay as they are.

    Raises:
        TypeError: It is no object, or something in it has no JSON.
        ValueError: A number in it is NaN or infinite, or it contains itself.
    """
    if isinstance(payload, bytes):
        return payload
    is_object = isinstance(payload, Mapping | Model) or _is_dataclass(payload)
    if not is_object:
        raise TypeError(
            "a payload is a mapping, a dataclass, a pydantic model or JSON in bytes, "
            f"got {payload!r:.60}"
        )
    return text_of(payload)


def text_of(value: Any) -> bytes:
    """Writes a value as a JSON text.

    Raises:
        TypeError: Something in it has no JSON.
        ValueError: A number in it is NaN or infinite, or it contains itself.
    """
    # An outer mapping that is no dict is ``_plain``'s, too.
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can spell it, UTF-8 cannot.
        return json.dumps(json.loads(text), separators=(",", ":")).encode()


def value_of(text: bytes) -> Any:
    """Reads a JSON text; an empty one is None.

    Raises:
        InferryError: It is none, or nests too deep.
    """
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise InferryError(f"what came is no JSON: {error}", code="INVALID_RESULT") from error


def _plain(value: Any) -> Any:  # noqa: PLR0911 - a line a kind
    """Gives what JSON has for a value that it does not know."""
    if _is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    match value:
        case Model():
            return value.model_dump(mode="json")
        case Mapping():
            return dict(value)
        case Enum():
            return value.value
        case datetime() | date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case set() | frozenset():
            return list(value)
    raise TypeError(f"JSON has nothing for {value!r:.60}, which is of {type(value).__name__}")


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
