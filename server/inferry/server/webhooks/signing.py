"""Signs deliveries: the headers of Standard Webhooks."""

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inferry.server.access.secret import derive_key
from inferry.server.webhooks.secrets import key_of

PUBLIC_PREFIX = "whpk_"
_KEYS_KEPT = 1_000


class Signer:
    """Signs with the secrets of a webhook, and with its tenant's Ed25519 key.

    Args:
        secret: The gateway's: the keys of the tenants are made of it.
    """

    def __init__(self, secret: bytes) -> None:
        def key(tenant: str) -> Ed25519PrivateKey:
            made = derive_key(secret, f"webhooks of {tenant}")
            return Ed25519PrivateKey.from_private_bytes(made)

        self._key: Callable[[str], Ed25519PrivateKey] = lru_cache(maxsize=_KEYS_KEPT)(key)

    def public_key(self, tenant: str) -> str:
        """Gives what a tenant's receivers verify ``v1a`` with: ``whpk_`` and base64."""
        raw = self._key(tenant).public_key().public_bytes_raw()
        return PUBLIC_PREFIX + base64.b64encode(raw).decode()

    def headers(
        self, message_id: str, at_s: int, body: bytes, secrets: Iterable[str], tenant: str | None
    ) -> Mapping[str, str]:
        """Signs a message.

        Args:
            message_id: The same however often it is sent.
            at_s: When it is sent, in seconds since 1970-01-01 UTC.
            body: What is sent.
            secrets: Those that hold now.
            tenant: Whose Ed25519 key is to sign it as well; None for none.
        """
        content = b"%s.%d.%s" % (message_id.encode(), at_s, body)
        signatures = [
            _written("v1", hmac.digest(key_of(secret), content, "sha256")) for secret in secrets
        ]
        if tenant is not None:
            signatures.append(_written("v1a", self._key(tenant).sign(content)))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(signatures),
        }


def _written(version: str, signature: bytes) -> str:
    return f"{version},{base64.b64encode(signature).decode()}"
