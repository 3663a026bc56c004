"""Who calls: the gateway's token, verified with its public key."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt
import yarl

from inferry.backend.http.keys import OLD_S, PAUSE_S, GatewayKeys
from inferry.wire.errors import writable
from inferry.wire.hosts import is_loopback

#: How far the gateway's clock and this one may be apart, besides what a token has left.
LEEWAY_S = 60.0
#: Characters of a token; those of a gateway have a few hundred, and the URLs in them.
TOKEN_LIMIT = 8_192
#: In seconds since 1970: no time is later, and a float holds each before it.
_NO_TIME_S = 2**43
#: Tokens that are remembered: a gateway makes one a minute.
_REMEMBERED = 64
#: Times are checked by the clock that is passed in, the audience in words of our own.
_OPTIONS: Any = {
    "require": ["iss", "aud", "exp"],
    **dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud"), False),
}


class UnknownCallerError(Exception):
    """Whoever calls is not the gateway; the message says what was wrong."""


class _Verified(NamedTuple):
    """A token that holds."""

    issuer: str
    expires_s: float


class Callers:
    """Tells a gateway from whoever else calls.

    Args:
        keys: The gateway's.
        url: Gives the URL that this backend is registered with.
        wall: The machine's clock, in seconds since 1970.
    """

    def __init__(
        self, keys: GatewayKeys, url: Callable[[], str], wall: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._url = url
        self._wall = wall
        self._verified: dict[str, _Verified] = {}

    async def issuer(self, authorization: str | None) -> str | None:
        """Gives the URL by which the gateway that calls goes, None if it signs no calls.

        Args:
            authorization: The header of the call; None without one.

        Raises:
            UnknownCallerError: It is not the gateway that calls.
            NoKeysError: Nobody can tell now.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        known = self._keys.known
        if known is None:
            known = await self._keys.fetch()
        if not known:
            self._keys.renew(PAUSE_S if token else OLD_S)
            return None
        if not token:
            # It may have begun to sign nothing.
            self._keys.renew()
            raise UnknownCallerError(
                f"no token: this backend takes calls of the gateway {self._keys.gateway} alone"
            )
        kept = self._verified.get(token)
        if kept is None:
            kept = await self._verify(token)
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[token] = kept
        if not self._wall() < kept.expires_s + LEEWAY_S:
            raise UnknownCallerError("the token has expired: compare the clocks")
        return kept.issuer

    async def _verify(self, token: str) -> _Verified:
        if len(token) > TOKEN_LIMIT or not token.isascii():
            raise UnknownCallerError(f"a token is ASCII text of {TOKEN_LIMIT} characters at most")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            raise UnknownCallerError("the token is no well-formed JSON Web Token") from None
        key = await self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnknownCallerError(
                f"the token is signed with no key of the gateway {self._keys.gateway}"
            )
        try:
            # The algorithm comes from the key, whatever the token says.
            claims = jwt.decode(token, key, algorithms=["EdDSA"], options=_OPTIONS)
        except jwt.MissingRequiredClaimError as error:
            raise UnknownCallerError(f"the token has no claim {error.claim!r}") from None
        except jwt.PyJWTError:
            raise UnknownCallerError("the token's signature is wrong") from None
        return self._read(claims)

    def _read(self, claims: dict[str, Any]) -> _Verified:
        issuer, audience, expires_s = claims["iss"], claims["aud"], claims["exp"]
        ours = self._url().rstrip("/")
        if not isinstance(audience, str) or not _is_same(audience, ours):
            said = writable(str(audience))
            raise UnknownCallerError(f"the token is for {said}; the URL here is {ours}")
        is_time = type(expires_s) in (int, float) and expires_s < _NO_TIME_S
        if not isinstance(issuer, str) or not is_time:
            raise UnknownCallerError("the token's iss is no text, or its exp no time")
        return _Verified(issuer, expires_s)


def _is_same(audience: str, ours: str) -> bool:
    try:
        return _plain(audience) == _plain(ours)
    except ValueError:
        # It is no URL.
        return False


def _plain(url: str) -> str:
    """Writes a URL as the gateway does when it is registered; this machine has one name."""
    plain = yarl.URL(url)
    if is_loopback(plain.host or ""):
        plain = plain.with_host("localhost")
    return str(plain).rstrip("/")
