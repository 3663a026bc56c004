"""JSON as this gateway takes it: what a double can hold, and no deeper than protobuf can carry."""

import json
import re
from typing import Any

import orjson

from inferry.server.errors import InvalidPayloadError

#: Levels of objects and arrays. Protobuf's parsers stop at 100 nested messages, and a level of
#: ``google.protobuf.Struct`` takes three: a deeper task could be created, but never be read.
DEPTH_LIMIT = 32

_EXACT = 2**53
_INEXACT = "integers beyond 2^53 lose digits in JSON; send them as strings"
#: What may be an integer that the parser has already rounded to a float.
_MANY_DIGITS = re.compile(rb"\d{17}")


def checked_json(value: Any, name: str) -> bytes:
    """Writes a value as JSON text.

    Args:
        value: What ``orjson.loads`` gave.
        name: What to call it in an error.

    Raises:
        InvalidPayloadError: An integer is beyond 2^53, or it is too deep.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidPayloadError(f"{name}: {_INEXACT}") from error
    if text.count(b"{") + text.count(b"[") > DEPTH_LIMIT and _deeper(value, DEPTH_LIMIT):
        raise InvalidPayloadError(f"{name}: nested deeper than {DEPTH_LIMIT} levels")
    return text


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(_deeper(one, levels - 1) for one in inner)


def refuse_rounded(text: bytes, name: str) -> None:
    """Looks for integers that ``orjson.loads`` rounds without a word: those of 2^64 and more.

    Args:
        text: JSON, as it came.
        name: What to call it in an error.

    Raises:
        InvalidPayloadError: There is one beyond 2^53.
    """

    def exact(digits: str) -> int:
        number = int(digits)
        if not -_EXACT <= number <= _EXACT:
            raise InvalidPayloadError(f"{name}: {_INEXACT}")
        return number

    if _MANY_DIGITS.search(text):
        json.loads(text, parse_int=exact)
