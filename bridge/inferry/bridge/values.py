"""Plain JSON <-> ``Struct`` and ``Value``, in one walk that also holds their limits.

A ``Struct`` keeps every number as a double: an integer beyond +-2^53 would be rounded, so it is
refused. orjson hands over integers that need more than 64 bits as floats, already rounded. The
walk cannot tell those from numbers that were written with an exponent: it raises
``SuspectNumberError``, and the caller parses again with every float spelled ``ExactFloat``.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from inferry.bridge.errors import FieldError

#: Objects and arrays inside each other. protobuf parses 100 nested messages, an object takes
#: three, and a result in an event has three around it.
MAX_DEPTH = 32

#: Integers beyond it have no double of their own.
MAX_INTEGER = 2**53

_SUSPECT_ABOVE = float(2**64)
_SUSPECT_BELOW = -float(2**63)


class SuspectNumberError(Exception):
    """A float that may have been a long integer in the text."""


class ExactFloat(float):
    """A number whose text was no integer."""

    __slots__ = ()


def write_value(target: Value, value: Any, room: int = MAX_DEPTH) -> None:
    """Writes a JSON value; ``room`` is how many levels may follow.

    Raises:
        FieldError: It is nested too deep or holds an integer beyond +-2^53.
        SuspectNumberError: See the module.
    """
    kind = type(value)
    if kind is str:
        target.string_value = value
    elif kind is float:
        if not _SUSPECT_BELOW < value < _SUSPECT_ABOVE:
            raise SuspectNumberError
        target.number_value = value
    elif kind is dict:
        write_struct(target.struct_value, value, room)
    elif kind is int:
        check_integer(value)
        target.number_value = value
    elif kind is list:
        _write_list(target.list_value, value, room)
    elif kind is bool:
        target.bool_value = value
    elif value is None:
        target.null_value = 0  # type: ignore[assignment]  # NULL_VALUE, the only one
    else:
        target.number_value = float(value)


def write_struct(target: Struct, value: Mapping[str, Any], room: int = MAX_DEPTH) -> None:
    """Writes a JSON object; see ``write_value``."""
    if not room:
        raise FieldError(f"nested deeper than {MAX_DEPTH} levels")
    if not value:
        target.SetInParent()
        return
    fields = target.fields
    for key, item in value.items():
        try:
            write_value(fields[key], item, room - 1)
        except FieldError as error:
            error.within(key)
            raise


def _write_list(target: ListValue, value: list[Any], room: int) -> None:
    if not room:
        raise FieldError(f"nested deeper than {MAX_DEPTH} levels")
    if not value:
        target.SetInParent()
        return
    add = target.values.add
    for index, item in enumerate(value):
        try:
            write_value(add(), item, room - 1)
        except FieldError as error:
            error.within(index)
            raise


def check_integer(value: int) -> int:
    """Returns an integer that a double can hold.

    Raises:
        FieldError: It is beyond +-2^53.
    """
    if -MAX_INTEGER <= value <= MAX_INTEGER:
        return value
    text = str(value)
    spelled = text if len(text) <= 24 else f"an integer of {len(text)} digits"  # noqa: PLR2004
    raise FieldError(f"{spelled} is beyond +-2^53 and would be rounded: send it as a string")


def read_value(value: Value) -> Any:
    """Reads a JSON value."""
    # ListFields is twice as fast as WhichOneof and another look.
    for _, content in value.ListFields():
        kind = type(content)
        if kind is str or kind is bool:
            return content
        if kind is float:
            return read_number(content)
        if kind is Struct:
            return read_struct(content)
        if kind is ListValue:
            return [read_value(item) for item in content.values]
    return None


def read_struct(struct: Struct) -> dict[str, Any]:
    """Reads a JSON object."""
    return {key: read_value(value) for key, value in struct.fields.items()}


def read_number(number: float) -> float:
    """Reads a double; a whole number comes without ``.0``."""
    if number.is_integer() and -MAX_INTEGER <= number <= MAX_INTEGER:
        return int(number)
    return number
