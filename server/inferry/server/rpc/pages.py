"""Pages of lists: their size, and the token that goes on after a number."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

from inferry.wire.limits import ENVELOPE_BYTES, MESSAGE_BYTES

Listed = TypeVar("Listed", bound=Message)

#: Of a page, if nobody says how many.
PAGE_DEFAULT = 50


def write_cursor(number: int) -> str:
    """Makes the token that goes on after a number."""
    return f"{number:016x}"


def read_cursor(token: str) -> int | None:
    """Reads a page token, whose form the protos tell; None for the first page."""
    return int(token, 16) if token else None


def fitting(messages: Iterable[Listed]) -> list[Listed]:
    """Takes as many messages as a client with default options can read in one response."""
    room, fit = MESSAGE_BYTES - ENVELOPE_BYTES, []
    for message in messages:
        room -= message.ByteSize()
        if room < 0:
            break
        fit.append(message)
    return fit
