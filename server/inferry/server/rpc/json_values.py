"""JSON texts <-> ``google.protobuf.Struct`` and ``Value``, on the way of every payload and result.

By hand, because ``json_format`` takes four times as long. Protobuf's numbers are doubles: whole
ones up to 2^53 print as integers; integers beyond that, which a double would round, are refused.
Objects and arrays nest ``DEPTH_LIMIT`` deep at most, in both directions: protobuf's parsers stop at
100 nested messages, and each JSON object takes three of them.
"""

import json
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any, TypeVar

import orjson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

from inferry.server.errors import InvalidPayloadError
from inferry.server.task.json_text import DEPTH_LIMIT

#: Up to here, a double holds every integer.
_EXACT = 2**53
#: From here on, the parser reads an integer as a float and so hides that it was one.
_HUGE = 2.0**63

_M = TypeVar("_M", bound=Message)


def struct_to_json(struct: Struct) -> bytes:
    """Writes a ``Struct`` as a JSON object; its keys sorted: a ``Struct`` keeps no order.

    Raises:
        InvalidPayloadError: It holds NaN or an infinity, or is nested too deeply.
    """
    plain = {key: _plain(value, 2) for key, value in struct.fields.items()}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def value_to_json(value: Value) -> bytes:
    """Writes a ``Value`` as JSON; one that says nothing is null.

    Raises:
        InvalidPayloadError: It holds NaN or an infinity, or is nested too deeply.
    """
    return orjson.dumps(_plain(value, 1), option=orjson.OPT_SORT_KEYS)


def json_to_struct(text: bytes) -> Struct:
    """Reads a JSON object.

    Raises:
        InvalidPayloadError: It is not a JSON object, is nested too deeply, or an integer in it is
            beyond 2^53.
    """
    return _read(text, _to_struct)


def json_to_value(text: bytes) -> Value:
    """Reads any JSON value.

    Raises:
        InvalidPayloadError: It is not JSON, is nested too deeply, or an integer in it is beyond
            2^53.
    """
    return _read(text, _to_value)


def to_struct(plain: Mapping[str, Any]) -> Struct:
    """Makes a ``Struct`` of a dict of str, numbers, bool, None, lists, tuples and dicts.

    Raises:
        InvalidPayloadError: It is nested too deeply, or a number in it does not fit.
    """
    return _to_struct(plain, inf)


class _DoubtfulFloatError(Exception):
    """A float so large that it may have been an integer in the text."""


def _to_struct(plain: Any, largest: float) -> Struct:
    if not isinstance(plain, dict):
        raise InvalidPayloadError("expected a JSON object")
    struct = Struct()
    fields = struct.fields
    for key, item in plain.items():
        _fill(fields[key], item, 2, largest)
    return struct


def _to_value(plain: Any, largest: float) -> Value:
    value = Value()
    _fill(value, plain, 1, largest)
    return value


def _read(text: bytes, convert: Callable[[Any, float], _M]) -> _M:
    try:
        return convert(orjson.loads(text), _HUGE)
    except orjson.JSONDecodeError as error:
        raise InvalidPayloadError(f"expected JSON: {error}") from None
    except _DoubtfulFloatError:
        # Rare: read it once more, slowly, with a parser that tells integers from floats.
        try:
            return convert(json.loads(text, parse_int=_exact), inf)
        except RecursionError:
            raise _too_deep() from None


def _fill(value: Value, item: Any, depth: int, largest: float) -> None:
    kind = type(item)
    if kind is str:
        value.string_value = item
    elif kind is int:
        value.number_value = item if -_EXACT <= item <= _EXACT else _exact(item)
    elif kind is float:
        if not -largest < item < largest:
            raise _doubt(item)
        value.number_value = item
    elif kind is bool:
        value.bool_value = item
    elif item is None:
        value.null_value = NULL_VALUE
    else:
        _fill_inner(value, item, depth, largest)


def _fill_inner(value: Value, item: Any, depth: int, largest: float) -> None:
    if depth > DEPTH_LIMIT:
        raise _too_deep()
    if isinstance(item, dict):
        struct = value.struct_value
        struct.SetInParent()
        fields = struct.fields
        for key, inner in item.items():
            _fill(fields[key], inner, depth + 1, largest)
    elif isinstance(item, (list, tuple)):
        items = value.list_value
        items.SetInParent()
        add = items.values.add
        for inner in item:
            _fill(add(), inner, depth + 1, largest)
    else:
        raise TypeError(f"{type(item)} is no JSON")


def _plain(value: Value, depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return _number(value.number_value)
    if kind == "bool_value":
        return value.bool_value
    if kind is None or kind == "null_value":
        return None
    if depth > DEPTH_LIMIT:
        raise _too_deep()
    if kind == "struct_value":
        return {key: _plain(item, depth + 1) for key, item in value.struct_value.fields.items()}
    return [_plain(item, depth + 1) for item in value.list_value.values]


def _number(number: float) -> float:
    if number.is_integer():
        return int(number) if -_EXACT <= number <= _EXACT else number
    if not isfinite(number):
        raise InvalidPayloadError(f"JSON has no {number}: send null or a string")
    return number


def _exact(digits: str | int) -> int:
    number = int(digits)
    if not -_EXACT <= number <= _EXACT:
        raise InvalidPayloadError("integers beyond 2^53 lose digits in JSON; send them as strings")
    return number


def _doubt(number: float) -> Exception:
    if isfinite(number):
        return _DoubtfulFloatError()
    return InvalidPayloadError(f"JSON has no {number}: send null or a string")


def _too_deep() -> InvalidPayloadError:
    return InvalidPayloadError(f"nested deeper than {DEPTH_LIMIT} levels")
