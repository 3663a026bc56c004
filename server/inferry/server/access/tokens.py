"""Who calls: JSON Web Tokens, verified once and remembered until they expire (design section 8).

As RFC 8725 wants it, the algorithm comes from the key and never from the token, ``exp`` and
``sub`` are required, and a token meant for an audience is refused where that is not ours.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt

from inferry.server.access.claims import (
    check_audience,
    check_issuer,
    read_header,
    read_object,
    text_of,
    time_ms_of,
)
from inferry.server.access.keys import KeySource
from inferry.server.clock import Clock
from inferry.server.errors import UnauthenticatedError

_JWS = jwt.PyJWS()
_REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.InvalidSignatureError: "the token's signature is wrong: another key made it",
    jwt.InvalidAlgorithmError: "the token's algorithm is not the one configured",
}


class Role(StrEnum):
    """What a token may do; the names of the claims ``role`` and ``roles``."""

    ADMIN = "admin"
    CLIENT = "client"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, by a token that holds."""

    #: The claim ``sub``.
    subject: str
    #: The claim ``tenant``, else ``sub``.
    tenant: str
    #: Empty when the token names no role that we know: it may do nothing.
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are taken."""

    #: What the claim ``iss`` must be; None asks for none.
    issuer: str | None
    #: What the claim ``aud`` must contain; None refuses tokens that have one.
    audience: str | None
    #: How far the clocks of whoever issues tokens may be off.
    leeway_ms: int
    #: Characters; a longer token is refused unread.
    limit: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Who a token stands for, and until when."""

    principal: Principal
    #: When it is refused, by the wall's clock.
    expires_ms: float
    #: When it ends by its own word: what is made of it holds no longer.
    ends_ms: float


class TokenVerifier:
    """Verifies tokens; a token that held before costs one hash and one look-up.

    Args:
        keys: Where the keys are.
        clock: The one clock that tokens are measured by: the wall's, as others made them.
        rules: Which tokens are taken.
        cache_size: Tokens remembered at most; the longest unused goes first.
    """

    def __init__(
        self, keys: KeySource, clock: Clock, rules: TokenRules, cache_size: int = 10_000
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._rules = rules
        self._cache_size = cache_size
        # By the token's hash: a dump of this memory gives no token away.
        self._cache: OrderedDict[bytes, Verified] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """Tells who a token (without ``Bearer``) stands for.

        Raises:
            UnauthenticatedError: It does not hold; the message says why.
        """
        return self.check(token).principal

    def check(self, token: str) -> Verified:
        """Tells who a token stands for, and until when.

        Raises:
            UnauthenticatedError: As ``verify`` says.
        """
        if len(token) > self._rules.limit or not token.isascii():
            raise UnauthenticatedError(
                f"a token is ASCII text of {self._rules.limit} characters at most"
            )
        digest = hashlib.sha256(token.encode()).digest()
        now_ms = self._clock.now_ms()
        verified = self._cache.get(digest)
        if verified is None:
            verified = self._remember(digest, self._check(token, now_ms))
        elif now_ms >= verified.expires_ms:
            del self._cache[digest]
            raise _expired()
        else:
            self._cache.move_to_end(digest)
        return verified

    def _remember(self, digest: bytes, verified: Verified) -> Verified:
        self._cache[digest] = verified
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return verified

    def _check(self, token: str, now_ms: int) -> Verified:
        rules = self._rules
        claims = read_object(self._payload(token), "claims")
        # Times are checked by our clock: the cache and the tests know no other.
        ends_ms = time_ms_of(claims, "exp")
        expires_ms = ends_ms + rules.leeway_ms
        if now_ms >= expires_ms:
            raise _expired()
        for name in ("nbf", "iat"):
            if name in claims and time_ms_of(claims, name) - rules.leeway_ms > now_ms:
                raise UnauthenticatedError(f"the token is not valid yet: see its claim {name!r}")
        check_issuer(claims, rules.issuer)
        check_audience(claims, rules.audience)
        subject = text_of(claims, "sub")
        tenant = text_of(claims, "tenant") if "tenant" in claims else subject
        return Verified(Principal(subject, tenant, _roles(claims)), expires_ms, ends_ms)

    def _payload(self, token: str) -> bytes:
        """Gives what was signed, if it was signed with our key."""
        key = self._keys.key_for(read_header(token))
        try:
            signed = _JWS.decode_complete(token, key.material, algorithms=key.algorithms)
        except jwt.PyJWTError as error:
            reason = _REASONS.get(type(error), "the token is no well-formed JSON Web Token")
            raise UnauthenticatedError(reason) from None
        payload: bytes = signed["payload"]
        return payload


def issue_token(
    secret: bytes,
    subject: str,
    role: Role,
    tenant: str | None,
    ttl_s: int,
    now_ms: int,
    *,
    issuer: str | None = None,
    audience: str | None = None,
) -> str:
    """Makes a token that holds for ``ttl_s`` seconds; ``tenant`` None leaves it at the subject.

    Raises:
        UnauthenticatedError: No gateway would take it: the subject or the tenant is no name.
    """
    now_s = now_ms // 1_000
    claims: dict[str, Any] = {"sub": subject, "role": role, "iat": now_s, "exp": now_s + ttl_s}
    optional = {"tenant": tenant, "iss": issuer, "aud": audience}
    claims |= {name: value for name, value in optional.items() if value is not None}
    for name in {"sub", "tenant"} & claims.keys():
        text_of(claims, name)
    return jwt.encode(claims, secret, algorithm="HS256")


def _expired() -> UnauthenticatedError:
    return UnauthenticatedError("the token has expired: get a new one")


def _roles(claims: Mapping[str, Any]) -> frozenset[Role]:
    named = claims.get("roles")
    named = [claims.get("role"), *(named if isinstance(named, list) else ())]
    return frozenset(role for role in Role if role in named)
