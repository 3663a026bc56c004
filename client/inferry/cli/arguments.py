"""What people write on the command line, turned into values."""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import typer

from inferry.cli.terminal import is_text
from inferry.wire.errors import FieldError
from inferry.wire.hosts import is_host_port
from inferry.wire.text import check_object, without_bom

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


def host_port(text: str) -> str:
    """Reads where gRPC is: ``HOST:PORT``, an IPv6 address in brackets.

    Raises:
        BadParameter: It is something else.
    """
    if not is_host_port(text) or not is_text(text):
        raise typer.BadParameter(f"expected HOST:PORT, such as 127.0.0.1:50051, got {text!r}")
    return text


def listen_address(text: str) -> str:
    """Reads where to listen: as ``host_port``, port 0 for a free one.

    Raises:
        BadParameter: It is something else.
    """
    host, _, port = text.rpartition(":")
    if port == "0":
        # Any other port says whether the rest is right.
        host_port(f"{host}:1")
        return text
    return host_port(text)


def http_url(text: str) -> str:
    """Reads an http or https URL, without user and query; a slash at its end is left out.

    Raises:
        BadParameter: It is something else.
    """
    try:
        parts = urlsplit(text)
        right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or "@" in parts.netloc or not is_text(text):
        raise typer.BadParameter(f"expected a URL such as http://127.0.0.1:8787, got {text!r}")
    return text.rstrip("/")


def labels(pairs: Sequence[str]) -> dict[str, str]:
    """Reads labels such as ``team=vision``.

    Raises:
        BadParameter: One has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(f"expected a label as key=value, got {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def payload(text: str) -> bytes:
    """Reads a payload: JSON, ``@FILE``, or ``-`` for what comes in on standard input.

    Returns:
        The text of a JSON object, as it was given.

    Raises:
        BadParameter: It is no JSON object, or cannot be read.
    """
    try:
        raw = without_bom(_payload_bytes(text))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None
    try:
        check_object(raw)
    except FieldError as error:
        raise typer.BadParameter(f'the payload: {error}; right is {{"test":"data"}}') from None
    return raw


def _payload_bytes(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def only_for(use: str, context: typer.Context, *names: str) -> None:
    """Refuses options that say nothing for what is wanted.

    Args:
        use: What they are for.
        context: Of the command.
        names: Of its parameters.

    Raises:
        BadParameter: One was given.
    """
    for name in names:
        source = context.get_parameter_source(name)
        # By its name: typer has a click of its own.
        if source is not None and source.name == "COMMANDLINE":
            option = next(one for one in context.command.params if one.name == name)
            raise typer.BadParameter(f"it is for {use} alone", param_hint=option.opts[-1])
