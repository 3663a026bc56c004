"""Resume tokens: with one, a worker that opens another stream goes on with what it has.

Each is made of the worker's id and a key of the gateway's secret: nothing is stored, and one that a
gateway gave holds at the next.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode

#: 144 bits: beyond guessing, and base64 of it needs no padding.
_MAC_BYTES = 18


class ResumeSigner:
    """Makes and checks resume tokens.

    Args:
        key: 32 bytes for this purpose alone (see ``secret.derive_key``).
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, server_id: str) -> str:
        """Makes the token of a worker."""
        mac = hmac.digest(self._key, server_id.encode(), hashlib.sha256)[:_MAC_BYTES]
        return urlsafe_b64encode(mac).decode()

    def holds(self, server_id: str, token: str) -> bool:
        """Whether a token is the worker's; compared in constant time."""
        return hmac.compare_digest(self.token(server_id).encode(), token.encode())
