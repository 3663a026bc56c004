"""Pages of lists: their size, and the token that goes on after a number."""

import base64
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import Message

from inferry.server.errors import InvalidPayloadError
from inferry.wire.limits import ENVELOPE_BYTES, MESSAGE_BYTES

Listed = TypeVar("Listed", bound=Message)

PAGE_DEFAULT = 50
PAGE_LIMIT = 500
#: All that the store counts to.
_NUMBERS = range(2**63)


def page_size(asked: int) -> int:
    """Reads a page size; 0 is the default.

    Raises:
        InvalidPayloadError: It is out of its bounds.
    """
    if not 0 <= asked <= PAGE_LIMIT:
        raise InvalidPayloadError(f"pageSize: {asked}; right is 1 to {PAGE_LIMIT}")
    return asked or PAGE_DEFAULT


def write_cursor(number: int) -> str:
    """Makes the token that goes on after a number."""
    return base64.urlsafe_b64encode(b"%d" % number).decode().rstrip("=")


def read_cursor(token: str) -> int | None:
    """Reads a page token; None for the first page.

    Raises:
        InvalidPayloadError: It is none of ours.
    """
    if not token:
        return None
    with suppress(ValueError):
        number = int(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if number in _NUMBERS and write_cursor(number) == token:
            return number
    raise InvalidPayloadError("pageToken: not one that a list returned")


def fitting(messages: Iterable[Listed]) -> list[Listed]:
    """Takes as many messages as a client with default options can read in one response."""
    room, fit = MESSAGE_BYTES - ENVELOPE_BYTES, []
    for message in messages:
        room -= message.ByteSize()
        if room < 0:
            break
        fit.append(message)
    return fit
