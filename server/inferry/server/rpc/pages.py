"""Pages of lists: their size, and the token that continues after a place."""

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
_PLACES = range(2**63)


def page_size(asked: int) -> int:
    """Reads a page size; 0 is the default.

    Raises:
        InvalidPayloadError: It is out of its bounds.
    """
    if not 0 <= asked <= PAGE_LIMIT:
        raise InvalidPayloadError(f"pageSize: {asked}; right is 1 to {PAGE_LIMIT}")
    return asked or PAGE_DEFAULT


def write_place(place: int) -> str:
    """Makes the token that continues after a place."""
    return base64.urlsafe_b64encode(b"%d" % place).decode().rstrip("=")


def read_place(token: str) -> int | None:
    """Reads a page token; None for the first page.

    Raises:
        InvalidPayloadError: It is none of ours.
    """
    if not token:
        return None
    with suppress(ValueError):
        place = int(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if place in _PLACES and write_place(place) == token:
            return place
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
