"""Signed callback URLs: the guide's backends send no header, so the URL carries the right.

The token names the attempt and the server and proves that this gateway gave them the task:
``{attempt}.{server_id}.{mac}``. Nothing is stored; every replica with the secret can verify.
(Design section 8.)
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import NamedTuple

from inferry.server.errors import UnauthenticatedError

#: 144 bits: beyond guessing, and base64 of it needs no padding.
_MAC_BYTES = 18
_MAX_TOKEN_CHARS = 256
#: Of a task's id; ours are shorter.
_MAX_ID_CHARS = 64
_MAX_ATTEMPT_DIGITS = 9
#: Tokens remembered at most: one is made at a dispatch, and verified with each report.
_REMEMBERED = 4_096


class CallbackRight(NamedTuple):
    """What a callback token allows: to report on one attempt."""

    attempt: int
    server_id: str


class CallbackVerifier:
    """Verifies the tokens of callback URLs.

    Args:
        key: 32 bytes for this purpose alone (see ``secret.derive_key``).
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._token = lru_cache(_REMEMBERED)(self._make)

    def verify(self, task_id: str, token: str) -> CallbackRight:
        """Tells what a token allows to do with a task.

        Raises:
            UnauthenticatedError: This gateway did not make it for this task.
        """
        attempt, _, rest = token.partition(".")
        server_id = rest.rpartition(".")[0]
        if (
            len(token) <= _MAX_TOKEN_CHARS
            and token.isascii()
            and len(task_id) <= _MAX_ID_CHARS
            and task_id.isascii()
            and attempt.isdigit()
            and len(attempt) <= _MAX_ATTEMPT_DIGITS
        ):
            expected = self._token(task_id, int(attempt), server_id)
            if hmac.compare_digest(expected, token):
                return CallbackRight(int(attempt), server_id)
        raise UnauthenticatedError("the callback token does not belong to this task")

    def _make(self, task_id: str, attempt: int, server_id: str) -> str:
        # The length keeps the two ids apart, whatever is in them.
        framed = f"{attempt}.{len(task_id)}.{task_id}{server_id}".encode()
        mac = hmac.digest(self._key, framed, hashlib.sha256)[:_MAC_BYTES]
        return f"{attempt}.{server_id}.{urlsafe_b64encode(mac).decode()}"


class CallbackSigner(CallbackVerifier):
    """Makes and verifies callback URLs.

    Args:
        key: As for ``CallbackVerifier``.
        public_url: Where backends reach the gateway, such as ``http://127.0.0.1:8787``.
    """

    def __init__(self, key: bytes, public_url: str) -> None:
        super().__init__(key)
        self._prefix = f"{public_url.rstrip('/')}/api/tasks/"

    def url(self, task_id: str, attempt: int, server_id: str) -> str:
        """Makes the callback URL of an attempt; the ids are URL-safe as they are."""
        return f"{self._prefix}{task_id}?token={self._token(task_id, attempt, server_id)}"
