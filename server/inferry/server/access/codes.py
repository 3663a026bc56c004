"""One-time codes: a program with a token hands one to a browser, which changes it for a token.

A code has 128 random bits and holds for a minute, once. Only its hash is kept, and with it what the
token may be: no more than that of who asked, and for no longer.
"""

import hashlib
import secrets
from collections import OrderedDict, deque
from typing import NamedTuple

from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import Clock
from inferry.server.errors import TooManyRequestsError

#: How long a code holds.
CODE_MS = 60_000
#: How long a token holds at most that one was changed for.
TOKEN_MS = 8 * 3_600_000
_CODE_BYTES = 16
#: Callers whose pace is known at once; the longest silent goes first.
_CALLERS = 1_000


class KeptCode(NamedTuple):
    """What is kept of a code."""

    #: SHA-256 of the code.
    hash: bytes
    subject: str
    tenant: str
    role: str
    #: When the token of who asked expires, by the wall's clock.
    expires_ms: int
    #: When the code does.
    until_ms: int


def new_code() -> str:
    """Makes a code: 22 characters that a URL takes as they are."""
    return secrets.token_urlsafe(_CODE_BYTES)


def hash_of(code: str) -> bytes:
    """Gives what is kept of a code."""
    return hashlib.sha256(code.encode(errors="replace")).digest()


class TokenMaker:
    """Makes tokens that this gateway takes.

    Args:
        secret: What it verifies them with.
        issuer: The claim ``iss``; None for none.
        audience: The claim ``aud``; None for none.
        wall: The machine's wall clock, by which tokens expire.
    """

    def __init__(
        self, secret: bytes, issuer: str | None, audience: str | None, wall: Clock
    ) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._wall = wall

    def make(self, kept: KeptCode) -> tuple[str, int]:
        """Makes the token that a code stands for; tells when it expires, too."""
        now_ms = self._wall.now_ms()
        ttl_s = max(0, min(TOKEN_MS, kept.expires_ms - now_ms)) // 1_000
        token = issue_token(
            self._secret,
            kept.subject,
            Role(kept.role),
            kept.tenant,
            ttl_s,
            now_ms,
            issuer=self._issuer,
            audience=self._audience,
        )
        return token, (now_ms // 1_000 + ttl_s) * 1_000


class Throttle:
    """Lets each caller do something so many times in a span of time.

    Args:
        limit: So many times.
        within_ms: In any span of this length.
        clock: The time.
    """

    def __init__(self, limit: int, within_ms: int, clock: Clock) -> None:
        self._limit = limit
        self._within_ms = within_ms
        self._clock = clock
        #: By caller: when they did so last.
        self._times: OrderedDict[str, deque[int]] = OrderedDict()

    def pass_(self, caller: str) -> None:
        """Counts one time.

        Raises:
            TooManyRequestsError: It is one too many.
        """
        now_ms = self._clock.now_ms()
        times = self._times.setdefault(caller, deque())
        self._times.move_to_end(caller)
        if len(self._times) > _CALLERS:
            self._times.popitem(last=False)
        while times and times[0] <= now_ms - self._within_ms:
            times.popleft()
        if len(times) >= self._limit:
            wait_s = -(-(times[0] + self._within_ms - now_ms) // 1_000)
            raise TooManyRequestsError(
                f"{self._limit} in {self._within_ms // 1_000} s are enough: try again later",
                retry_after_s=wait_s,
            )
        times.append(now_ms)
