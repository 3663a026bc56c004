"""Who calls: JSON Web Tokens, verified once and remembered until they expire (design section 8).

As RFC 8725 wants it, the algorithm comes from the key and never from the token, ``exp`` and
``sub`` are required, and a token meant for an audience is refused where that is not ours.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.exceptions import InvalidSubjectError

from inferry.server.clock import Clock
from inferry.server.errors import UnauthenticatedError

#: A longer token is refused unread.
MAX_TOKEN_CHARS = 8_192
#: How far the clocks of whoever issues tokens may be off.
LEEWAY_MS = 5_000

_MIN_RSA_BITS = 2_048
#: No claim beyond this is a time; its milliseconds are exact as a float, too.
_MAX_SECONDS = 2**43

_REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.InvalidSignatureError: "the token's signature is wrong: another key made it",
    jwt.InvalidAlgorithmError: "the token's algorithm is not the one configured",
    jwt.InvalidIssuerError: "the token's issuer is not the one configured",
    jwt.InvalidAudienceError: "the token is meant for another audience",
    InvalidSubjectError: "the token's claim 'sub' must be a string",
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
class VerificationKey:
    """A key with the algorithms that it may be used with, and no others."""

    material: bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
    algorithms: tuple[str, ...]


class KeySource(Protocol):
    """Where the key of a token comes from."""

    def key_for(self, header: Mapping[str, Any], /) -> VerificationKey:
        """Gives the key for a token with this header, which nobody has verified.

        Raises:
            UnauthenticatedError: There is none.
        """
        ...


class SecretKey:
    """One shared secret, HS256; at least 32 bytes (see ``secret.load_secret``)."""

    def __init__(self, secret: bytes) -> None:
        self._key = VerificationKey(secret, ("HS256",))

    def key_for(self, _header: Mapping[str, Any], /) -> VerificationKey:
        """Gives the one key that there is."""
        return self._key


class PemKey:
    """One public key: RSA (RS256), NIST P-256 (ES256) or Ed25519 (EdDSA).

    Raises:
        ValueError: ``pem`` is no PEM of such a public key.
    """

    def __init__(self, pem: bytes) -> None:
        match load_pem_public_key(pem):
            case RSAPublicKey(key_size=bits) as key if bits >= _MIN_RSA_BITS:
                self._key = VerificationKey(key, ("RS256",))
            case EllipticCurvePublicKey(curve=SECP256R1()) as key:
                self._key = VerificationKey(key, ("ES256",))
            case Ed25519PublicKey() as key:
                self._key = VerificationKey(key, ("EdDSA",))
            case _:
                raise ValueError(
                    f"the key must be RSA of {_MIN_RSA_BITS} bits or more, NIST P-256 or Ed25519"
                )

    def key_for(self, _header: Mapping[str, Any], /) -> VerificationKey:
        """Gives the one key that there is."""
        return self._key


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    expires_ms: float


class TokenVerifier:
    """Verifies tokens; a token that held before costs one hash and one look-up.

    Args:
        keys: Where the keys are.
        clock: The one clock that tokens are measured by.
        issuer: What the claim ``iss`` must be; None asks for none.
        audience: What the claim ``aud`` must contain; None refuses tokens that have one.
        cache_size: Tokens remembered at most; the longest unused goes first.
    """

    def __init__(
        self,
        keys: KeySource,
        clock: Clock,
        issuer: str | None = None,
        audience: str | None = None,
        cache_size: int = 10_000,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._cache_size = cache_size
        # By the token's hash: a dump of this memory gives no token away.
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """Tells who a token (without ``Bearer``) stands for.

        Raises:
            UnauthenticatedError: It does not hold; the message says why.
        """
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise UnauthenticatedError(
                f"a token is ASCII text of {MAX_TOKEN_CHARS} characters at most"
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
        return verified.principal

    def _remember(self, digest: bytes, verified: _Verified) -> _Verified:
        self._cache[digest] = verified
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return verified

    def _check(self, token: str, now_ms: int) -> _Verified:
        claims = self._claims(token)
        expires_ms = _time_ms(claims, "exp") + LEEWAY_MS
        if now_ms >= expires_ms:
            raise _expired()
        for name in ("nbf", "iat"):
            if name in claims and _time_ms(claims, name) - LEEWAY_MS > now_ms:
                raise UnauthenticatedError(f"the token is not valid yet: see its claim {name!r}")
        tenant = claims.get("tenant", claims["sub"])
        if not isinstance(tenant, str) or not tenant or not claims["sub"]:
            raise UnauthenticatedError("the token's claims 'sub' and 'tenant' must be strings")
        return _Verified(Principal(claims["sub"], tenant, _roles(claims)), expires_ms)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            key = self._keys.key_for(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key.material,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                # Times are checked by our clock: the cache and the tests know no other.
                options={
                    "require": ["exp", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise UnauthenticatedError(f"the token has no claim {error.claim!r}") from None
        except jwt.PyJWTError as error:
            reason = _REASONS.get(type(error), "the token is no well-formed JSON Web Token")
            raise UnauthenticatedError(reason) from None


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
    """Makes a token that holds for ``ttl_s`` seconds; ``tenant`` None leaves it at the subject."""
    now_s = now_ms // 1_000
    claims: dict[str, Any] = {"sub": subject, "role": role, "iat": now_s, "exp": now_s + ttl_s}
    optional = {"tenant": tenant, "iss": issuer, "aud": audience}
    claims |= {name: value for name, value in optional.items() if value is not None}
    return jwt.encode(claims, secret, algorithm="HS256")


def _expired() -> UnauthenticatedError:
    return UnauthenticatedError("the token has expired: get a new one")


def _time_ms(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    # JSON as Python reads it has true, NaN and Infinity, too.
    if type(value) not in (int, float) or not 0 <= value <= _MAX_SECONDS:
        raise UnauthenticatedError(f"the token's claim {name!r} must be a time in seconds")
    return float(value * 1_000)


def _roles(claims: Mapping[str, Any]) -> frozenset[Role]:
    named = claims.get("roles")
    named = [claims.get("role"), *(named if isinstance(named, list) else ())]
    return frozenset(role for role in Role if role in named)
