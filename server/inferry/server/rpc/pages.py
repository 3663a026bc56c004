"""Pages of lists: their size, and the token that continues after a place."""

import base64
import binascii

from inferry.server.errors import InvalidPayloadError

PAGE_DEFAULT = 50
PAGE_LIMIT = 500


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
    try:
        padded = token + "=" * (-len(token) % 4)
        return int(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, binascii.Error) as error:
        raise InvalidPayloadError("pageToken: not one that a list returned") from error
