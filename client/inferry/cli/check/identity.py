"""Who the checker is to a backend: a gateway that signs its calls, or a stranger."""

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inferry.server.access.backend_tokens import TOKEN_S, BackendTokens
from inferry.server.clock import Clock, SystemClock

_SERVER_ID = "srv_check"
#: Whoever takes a token that ended so long ago looks at no clock.
_LONG_AGO_MS = 3_600_000 + TOKEN_S * 1_000


@dataclass(frozen=True, slots=True)
class _LongAgo:
    """A clock that is far behind."""

    clock: Clock

    def now_ms(self) -> int:
        return self.clock.now_ms() - _LONG_AGO_MS


class Identity:
    """Signs calls as a gateway with a secret does.

    Args:
        secret: The secret.
        issuer: Where callbacks go.
    """

    def __init__(self, secret: bytes, issuer: str) -> None:
        clock = SystemClock()
        self._tokens = BackendTokens(secret, issuer, clock)
        self._late = BackendTokens(secret, issuer, _LongAgo(clock))

    def key_set(self) -> bytes:
        """Gives the public key, as a gateway does."""
        kid, x = self._tokens.public_key
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x}
        return orjson.dumps({"keys": [key]})

    def headers(self, url: str) -> Mapping[str, str]:
        """Gives the header of a call of the backend at a URL."""
        return self._tokens.headers(_SERVER_ID, url)

    def forged(self, url: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Gives headers that no backend at a URL may take, each with what it is."""
        token = _token(self.headers(url))
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        kid, x = self._tokens.public_key
        stranger = Ed25519PrivateKey.generate()
        head, _, signature = token.split(".")
        other = jwt.encode({**claims, "sub": "srv_other"}, stranger, "EdDSA").split(".")[1]
        yield "another key", _headers(jwt.encode(claims, stranger, "EdDSA", {"kid": kid}))
        yield "no signature", _headers(jwt.encode(claims, "", "none", {"kid": kid}))
        by_public_key = jwt.encode(claims, urlsafe_b64decode(f"{x}="), "HS256", {"kid": kid})
        yield "the public key as a secret", _headers(by_public_key)
        yield "words that were changed", _headers(f"{head}.{other}.{signature}")
        yield "another backend's URL", self.headers(f"{url}/other")
        yield "a time that is long over", self._late.headers(_SERVER_ID, url)


def _token(headers: Mapping[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def _headers(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
