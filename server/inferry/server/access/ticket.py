"""Tickets: the right to watch one task for a while, for who can send no token.

An ``EventSource`` sends no header, so its URL carries the right: ``{expires_ms}.{mac}``. Nothing is
stored; every replica with the secret can verify.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode

from inferry.server.clock import Clock
from inferry.server.errors import UnauthenticatedError

#: 144 bits: beyond guessing, and base64 of it needs no padding.
_MAC_BYTES = 18
#: Of a time in milliseconds; this century's have 13.
_MAX_DIGITS = 15


class TicketSigner:
    """Makes and verifies tickets.

    Args:
        key: 32 bytes for this purpose alone (see ``secret.derive_key``).
        wall: The machine's wall clock, by which they expire: replicas have it in common.
    """

    def __init__(self, key: bytes, wall: Clock) -> None:
        self._key = key
        self._wall = wall

    def ticket(self, task_id: str, expires_ms: int) -> str:
        """Makes a ticket; a URL takes it as it is."""
        # A number has no dot: the two cannot be cut elsewhere.
        framed = f"{expires_ms}.{task_id}".encode()
        mac = hmac.digest(self._key, framed, hashlib.sha256)[:_MAC_BYTES]
        return f"{expires_ms}.{urlsafe_b64encode(mac).decode()}"

    def left_s(self, task_id: str, ticket: str) -> float:
        """Tells for how many seconds more a ticket opens a task's stream.

        Raises:
            UnauthenticatedError: It has expired, or was never made for this task.
        """
        digits = ticket.partition(".")[0]
        if not (
            ticket.isascii()
            and task_id.isascii()
            and digits.isdigit()
            and len(digits) <= _MAX_DIGITS
            and hmac.compare_digest(self.ticket(task_id, int(digits)), ticket)
        ):
            raise UnauthenticatedError(
                "the ticket of this stream URL is not for this task, or this gateway did not make "
                "it: open the URL as it was given"
            )
        left_ms = int(digits) - self._wall.now_ms()
        if left_ms <= 0:
            raise expired()
        return left_ms / 1_000


def expired() -> UnauthenticatedError:
    """Makes the refusal of a ticket whose time is over."""
    return UnauthenticatedError(
        "the stream URL has expired: ask for a new one, and go on there with '&after=' and the "
        "number of the last event"
    )
