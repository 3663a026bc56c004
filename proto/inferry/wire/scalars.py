"""JSON <-> the scalars of proto3: one reader or printer for each kind of field.

A reader takes any JSON value and returns what the field takes, or raises ``FieldError``.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.wire.errors import FieldError, expected
from inferry.wire.rules import LOWER_CASE_ENUMS

Reader = Callable[[Any], Any]
Printer = Callable[[Any], Any]

#: What a ``Timestamp`` cannot hold begins before the year 1 in UTC, or ends after 9999.
TIME = r"^(?!0001-01-01.*\+|9999-12-31.*-)"
_TIME = re.compile(TIME)
_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?", re.ASCII)

_INTEGER_BITS = {
    FieldDescriptor.TYPE_INT32: (31, True),
    FieldDescriptor.TYPE_SINT32: (31, True),
    FieldDescriptor.TYPE_SFIXED32: (31, True),
    FieldDescriptor.TYPE_UINT32: (32, False),
    FieldDescriptor.TYPE_FIXED32: (32, False),
    FieldDescriptor.TYPE_INT64: (63, True),
    FieldDescriptor.TYPE_SINT64: (63, True),
    FieldDescriptor.TYPE_SFIXED64: (63, True),
    FieldDescriptor.TYPE_UINT64: (64, False),
    FieldDescriptor.TYPE_FIXED64: (64, False),
}
#: Kinds of fields whose numbers may have fractions.
FLOATS = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})


def reader(field: FieldDescriptor, *, from_query: bool) -> Reader:
    """Chooses the reader of a scalar field.

    Args:
        field: The field; whether it is repeated is not looked at.
        from_query: The value is a text from a query: ``true`` is a boolean, enums take any case.

    Raises:
        TypeError: JSON has no form for it here.
    """
    if field.type == FieldDescriptor.TYPE_STRING:
        return read_text
    if field.type == FieldDescriptor.TYPE_BOOL:
        return read_query_boolean if from_query else read_boolean
    if field.enum_type is not None:
        return enum_reader(field.enum_type, any_case=from_query)
    if field.type in FLOATS:
        return read_float
    if field.type in _INTEGER_BITS:
        bits, signed = _INTEGER_BITS[field.type]
        return integer_reader(-(2**bits) if signed else 0, 2**bits - 1)
    raise TypeError(f"{field.full_name}: this kind of field has no JSON form here")


def read_text(value: Any) -> str:
    """Reads a text."""
    if type(value) is not str:
        raise expected("a string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldError("half of a surrogate pair is no text") from None
    return value


def read_boolean(value: Any) -> bool:
    """Reads a boolean."""
    if type(value) is bool:
        return value
    raise expected("true or false", value)


def read_query_boolean(value: Any) -> bool:
    """Reads a boolean from a query."""
    if value in {"true", "false"}:
        return bool(value == "true")
    raise expected("true or false", value)


def read_float(value: Any) -> float:
    """Reads a number, or the text of one as canonical proto3 JSON allows."""
    if isinstance(value, float):
        return float(value)
    if type(value) is int and value.bit_length() <= 64:  # noqa: PLR2004 - all that orjson gives
        return float(value)
    if type(value) is str and _NUMBER.fullmatch(value):
        return float(value)
    raise expected("a number", value)


def integer_reader(low: int, high: int) -> Reader:
    """Makes the reader of an integer field with its bounds."""

    def read(value: Any) -> int:
        whole = type(value) is int or (isinstance(value, float) and value.is_integer())
        # Canonical proto3 JSON takes the text of an integer, too.
        if not whole and not (type(value) is str and _INTEGER.fullmatch(value)):
            raise expected("an integer", value)
        number = int(value)
        if low <= number <= high:
            return number
        raise expected(f"an integer from {low} to {high}", value)

    return read


def enum_reader(enum: EnumDescriptor, *, any_case: bool) -> Reader:
    """Makes the reader of an enum field: by name, or by number. 0 is no choice."""
    names = {value.name: value.number for value in enum.values if value.number}
    lower = enum.full_name in LOWER_CASE_ENUMS
    any_case = any_case or lower
    allowed = ", ".join(name.lower() if lower else name for name in names)
    numbers = frozenset(names.values())

    def read(value: Any) -> int:
        if type(value) is int and value in numbers:
            return value
        if type(value) is str:
            number = names.get(value.upper() if any_case else value)
            if number is not None:
                return number
            if value.upper() in names:
                raise expected(f"one of {allowed} (in upper case)", value)
        raise expected(f"one of {allowed}", value)

    return read


def enum_printer(enum: EnumDescriptor) -> Printer:
    """Makes the printer of an enum field: its name, or the number of a value not known here."""
    lower = enum.full_name in LOWER_CASE_ENUMS
    names = {value.number: value.name.lower() if lower else value.name for value in enum.values}

    def print_name(number: int) -> str | int:
        return names.get(number, number)

    return print_name


def write_timestamp(target: Timestamp, value: Any) -> None:
    """Writes an RFC 3339 time.

    Raises:
        FieldError: It is not one.
    """
    right = 'an RFC 3339 time such as "2026-01-31T12:00:00Z"'
    if type(value) is not str or not _TIME.match(value):
        raise expected(right, value)
    try:
        target.FromJsonString(value)
    except ValueError:
        raise expected(right, value) from None


def print_timestamp(timestamp: Timestamp) -> str:
    """Prints an RFC 3339 time in milliseconds."""
    return f"{_second(timestamp.seconds)}.{timestamp.nanos // 1_000_000:03d}Z"


def print_ms(at_ms: int) -> str:
    """Prints a time in milliseconds since 1970-01-01 UTC, as ``print_timestamp`` does."""
    return f"{_second(at_ms // 1_000)}.{at_ms % 1_000:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    # The times of a task lie close together: most are in the cache.
    time = gmtime(seconds)
    # By hand: strftime writes early years with fewer digits.
    return f"{time.tm_year:04d}{strftime('-%m-%dT%H:%M:%S', time)}"
