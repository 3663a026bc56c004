"""What people write on the command line, turned into values."""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import typer
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

#: Integers beyond this are not exact in JSON (RFC 7493).
_EXACT = 2**53

#: The longest time that a request can carry: what 31 bits hold.
_LONGEST_MS = 2**31 - 1

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NO_TIME = frozenset({"0", *(f"0{unit}" for unit in _UNITS_MS)})


def duration_ms(text: str) -> int:
    """Reads a duration such as ``500ms``, ``30s``, ``1.5m``, ``24h`` or ``7d``, in milliseconds.

    Raises:
        BadParameter: It is none.
    """
    match = _DURATION.fullmatch(text.strip())
    milliseconds = math.ceil(float(match[1]) * _UNITS_MS[match[2]]) if match else 0
    if milliseconds <= 0:
        raise typer.BadParameter(f"expected a duration such as 500ms, 30s, 15m, 24h, got {text!r}")
    return milliseconds


def span_ms(text: str) -> int:
    """Reads a duration that a request can carry: 24 days at most, in milliseconds.

    Raises:
        BadParameter: It is none, or too long.
    """
    milliseconds = duration_ms(text)
    if milliseconds > _LONGEST_MS:
        raise typer.BadParameter(f"expected 24d at most, got {text!r}")
    return milliseconds


def span_or_0_ms(text: str) -> int:
    """Reads a duration that a request can carry, or ``0``, in milliseconds.

    Raises:
        BadParameter: It is neither, or too long.
    """
    return 0 if text.strip() in _NO_TIME else span_ms(text)


def labels(pairs: Sequence[str]) -> dict[str, str]:
    """Reads labels such as ``team=vision``.

    Raises:
        BadParameter: One has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(f"expected a label as key=value, got {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def payload(text: str) -> Struct:
    """Reads a payload: JSON, ``@FILE``, or ``-`` for what comes in on standard input.

    Raises:
        BadParameter: It is no JSON object, or cannot be read or sent without loss.
    """
    try:
        raw = _payload_bytes(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"the payload is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('the payload must be a JSON object, such as {"test":"data"}')
    _check_integers(value)
    try:
        return json_format.ParseDict(value, Struct())
    except json_format.ParseError as error:
        raise typer.BadParameter(f"the payload cannot be sent: {error}") from None


def _payload_bytes(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def _check_integers(value: Any) -> None:
    match value:
        case dict():
            for item in value.values():
                _check_integers(item)
        case list():
            for item in value:
                _check_integers(item)
        case int() if abs(value) > _EXACT:
            raise typer.BadParameter(f"{value} is not exact in JSON: send it as a string")
