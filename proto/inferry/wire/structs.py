"""JSON texts <-> protobuf's ``Struct`` and ``Value``, for those who ask for them.

By hand, because ``json_format`` takes four times as long. Their numbers are doubles: an integer
that a double would round is refused, and so is what nests deeper than protobuf's parsers go.
"""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import orjson
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from inferry.wire.errors import FieldError, expected
from inferry.wire.limits import MAX_INTEGER, STRUCT_DEPTH
from inferry.wire.plain import plain_struct, plain_value, too_deep
from inferry.wire.text import parse

#: What may be an integer that the parser has rounded to a float already.
_MANY_DIGITS = re.compile(rb"\d{19}")
_DIGITS_SHOWN = 24


def struct_of(text: bytes) -> Struct:
    """Reads the text of a JSON object.

    Raises:
        FieldError: It is no JSON object, or does not fit; its path says what does not.
    """
    plain = _exactly(text)
    if type(plain) is not dict:
        raise expected("a JSON object", plain)
    return struct_from(plain)


def value_of(text: bytes) -> Value:
    """Reads the text of any JSON value.

    Raises:
        FieldError: It is no JSON, or does not fit.
    """
    value = Value()
    _fill(value, _exactly(text), STRUCT_DEPTH)
    return value


def struct_from(plain: Mapping[str, Any]) -> Struct:
    """Makes a ``Struct`` of a dict of str, numbers, bool, None, lists and dicts.

    Raises:
        FieldError: It does not fit.
    """
    struct = Struct()
    _fill_struct(struct, plain, STRUCT_DEPTH)
    return struct


def struct_text(struct: Struct) -> bytes:
    """Writes a ``Struct`` as a JSON object; its keys sorted: a ``Struct`` keeps no order.

    Raises:
        FieldError: It holds what JSON has no word for, or is nested too deep.
    """
    return orjson.dumps(plain_struct(struct), option=orjson.OPT_SORT_KEYS)


def value_text(value: Value) -> bytes:
    """Writes a ``Value`` as JSON; one that says nothing is null.

    Raises:
        FieldError: It holds what JSON has no word for, or is nested too deep.
    """
    return orjson.dumps(plain_value(value), option=orjson.OPT_SORT_KEYS)


def _exactly(text: bytes) -> Any:
    plain = parse(text)
    if _MANY_DIGITS.search(text):
        json.loads(text.decode(), parse_int=_exact)
    return plain


def _exact(digits: str) -> int:
    # int() refuses thousands of digits.
    if len(digits) > _DIGITS_SHOWN:
        raise _rounded(f"an integer of {len(digits)} digits")
    number = int(digits)
    if not -MAX_INTEGER <= number <= MAX_INTEGER:
        raise _rounded(digits)
    return number


def _rounded(integer: str) -> FieldError:
    return FieldError(f"{integer} is beyond +-2^53 and would be rounded: send it as a string")


def _fill(target: Value, plain: Any, room: int) -> None:
    kind = type(plain)
    if kind is str:
        try:
            target.string_value = plain
        except UnicodeEncodeError:
            raise _half_a_pair() from None
    elif kind is float:
        if not isfinite(plain):
            raise FieldError("this number is beyond all doubles")
        target.number_value = plain
    elif kind is dict:
        _fill_struct(target.struct_value, plain, room)
    elif kind is int:
        target.number_value = _exact(str(plain))
    elif kind is list:
        _fill_list(target.list_value, plain, room)
    elif kind is bool:
        target.bool_value = plain
    elif plain is None:
        target.null_value = NULL_VALUE
    else:
        raise TypeError(f"{kind} is no JSON")


def _fill_struct(target: Struct, plain: Mapping[str, Any], room: int) -> None:
    if not room:
        raise too_deep()
    target.SetInParent()
    fields = target.fields
    for key, item in plain.items():
        try:
            _fill(fields[key], item, room - 1)
        except UnicodeEncodeError:
            raise _half_a_pair() from None
        except FieldError as error:
            error.within(key)
            raise


def _fill_list(target: ListValue, plain: list[Any], room: int) -> None:
    if not room:
        raise too_deep()
    target.SetInParent()
    add = target.values.add
    for index, item in enumerate(plain):
        try:
            _fill(add(), item, room - 1)
        except FieldError as error:
            error.within(index)
            raise


def _half_a_pair() -> FieldError:
    return FieldError("a string holds half of a surrogate pair")
