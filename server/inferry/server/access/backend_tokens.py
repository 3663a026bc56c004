"""Tokens that tell servers who calls: short-lived, signed, verified with a public key.

The key is made of the secret: replicas with one secret have one key. A token is the same for a
minute, so that it costs a task nothing, and names its server, so that none can use it for another.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inferry.server.access.secret import derive_key
from inferry.server.clock import Clock

#: How long a token holds: whoever sees one cannot use it for longer.
TOKEN_S = 300
#: How long it is given out: what is left then is for clocks that go otherwise.
RENEWED_MS = 60_000
#: Servers whose tokens are remembered.
_REMEMBERED = 10_000


class PublicKey(NamedTuple):
    """A public key of Ed25519, as a JSON Web Key has it (RFC 8037)."""

    #: Its name: the thumbprint of RFC 7638.
    kid: str
    #: The key itself, in base64url.
    x: str


class _Kept(NamedTuple):
    """A token that was made."""

    url: str
    made_ms: int
    headers: Mapping[str, str]


class BackendTokens:
    """Makes the tokens, EdDSA.

    Args:
        secret: Of which the key is made.
        issuer: The claim ``iss``: where the gateway is reached; a slash at its end is left out.
        wall: The machine's wall clock, for others verify by theirs.
    """

    def __init__(self, secret: bytes, issuer: str, wall: Clock) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(derive_key(secret, "backend tokens"))
        self._issuer = issuer.rstrip("/")
        self._wall = wall
        self._kept: dict[str, _Kept] = {}
        #: What they are verified with.
        self.public_key = _public(self._key)

    def headers(self, server_id: str, url: str) -> Mapping[str, str]:
        """Gives the header of a call that says who calls.

        Args:
            server_id: The claim ``sub``.
            url: The claim ``aud``: the server's URL, as it is registered.
        """
        now_ms = self._wall.now_ms()
        kept = self._kept.get(server_id)
        # A clock that was set back makes a new one, too.
        if kept is None or kept.url != url or not 0 <= now_ms - kept.made_ms < RENEWED_MS:
            if len(self._kept) >= _REMEMBERED:
                self._kept.clear()
            headers = {"Authorization": f"Bearer {self._make(server_id, url, now_ms)}"}
            kept = self._kept[server_id] = _Kept(url, now_ms, headers)
        return kept.headers

    def _make(self, server_id: str, url: str, now_ms: int) -> str:
        now_s = now_ms // 1_000
        claims = {
            "iss": self._issuer,
            "aud": url,
            "sub": server_id,
            "iat": now_s,
            "exp": now_s + TOKEN_S,
        }
        return jwt.encode(
            claims, self._key, algorithm="EdDSA", headers={"kid": self.public_key.kid}
        )


def _public(key: Ed25519PrivateKey) -> PublicKey:
    x = _base64(key.public_key().public_bytes_raw())
    # What is hashed has these members, in this order.
    told = orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": x})
    return PublicKey(_base64(hashlib.sha256(told).digest()), x)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
