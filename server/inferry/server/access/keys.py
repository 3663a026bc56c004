"""What tokens are verified with: a shared secret or a public key, each with its own algorithms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_MIN_RSA_BITS = 2_048


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
