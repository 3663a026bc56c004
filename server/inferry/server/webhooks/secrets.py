"""Secrets of webhooks, as https://www.standardwebhooks.com writes them. Pure, but for chance."""

import base64
import binascii
import secrets

PREFIX = "whsec_"
#: Bytes of a secret.
LEAST_BYTES, MOST_BYTES = 24, 64
_NEW_BYTES = 32


class BadSecretError(ValueError):
    """A text that is no secret; the message says what is, and quotes nothing."""

    def __init__(self) -> None:
        super().__init__(f"right is {PREFIX} and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")


def new_secret() -> str:
    """Makes a secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def key_of(text: str) -> bytes:
    """Reads the key of a secret.

    Raises:
        BadSecretError: It is none.
    """
    if not text.startswith(PREFIX):
        raise BadSecretError
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecretError from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise BadSecretError
    return key
