"""Protobuf's ``Struct`` and ``Value`` -> what Python's JSON has for them. Needs no JSON library."""

from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from inferry.wire.errors import FieldError
from inferry.wire.limits import MAX_INTEGER, STRUCT_DEPTH


def plain_struct(struct: Struct) -> dict[str, Any]:
    """Reads a ``Struct`` as a dict; whole numbers become integers.

    Raises:
        FieldError: It holds what JSON has no word for, or is nested too deep.
    """
    return _plain_struct(struct, STRUCT_DEPTH)


def plain_value(value: Value) -> Any:
    """Reads a ``Value`` as what JSON has for it.

    Raises:
        FieldError: As ``plain_struct``.
    """
    return _plain(value, STRUCT_DEPTH)


def plain_number(number: float) -> float:
    """Reads a double; a whole number comes without ``.0``."""
    if number.is_integer() and -MAX_INTEGER <= number <= MAX_INTEGER:
        return int(number)
    return number


def _plain(value: Value, room: int) -> Any:
    # ListFields is twice as fast as WhichOneof and another look.
    for _, content in value.ListFields():
        kind = type(content)
        if kind is str or kind is bool:
            return content
        if kind is float:
            if not isfinite(content):
                raise FieldError(f"JSON has no {content}: send null or a string")
            return plain_number(content)
        if kind is Struct:
            return _plain_struct(content, room)
        if kind is ListValue:
            if not room:
                raise too_deep()
            return [_plain(item, room - 1) for item in content.values]
    return None


def _plain_struct(struct: Struct, room: int) -> dict[str, Any]:
    if not room:
        raise too_deep()
    return {key: _plain(value, room - 1) for key, value in struct.fields.items()}


def too_deep() -> FieldError:
    """Makes the error of a value that protobuf's parsers would not read."""
    return FieldError(f"nested deeper than {STRUCT_DEPTH} levels")
