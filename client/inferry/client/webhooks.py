"""For those who receive webhooks: tells whether a message comes from the gateway, and is new.

It needs nothing but the standard library. See https://www.standardwebhooks.com.
"""

import base64
import binascii
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["NotVerified", "verify"]

#: How old a message may be, or how far ahead its clock.
TOLERANCE_S = 300

_PREFIX = "whsec_"
_VERSION = "v1"


class NotVerified(Exception):  # noqa: N818  # as the others of the client are named
    """A message is not what it says it is, or is too old; the words say why."""


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Iterable[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> dict[str, Any]:
    """Verifies a message; returns what it says, with ``type``, ``timestamp`` and ``data``.

    Whoever gets it twice knows it by its ``webhook-id``.

    Args:
        body: As it came, byte for byte: not parsed and written again.
        headers: Of the request, in any case.
        secret: The webhook's, or all that hold while it is changed.
        tolerance_s: How old the message may be, or how far ahead its clock, in seconds.
        now_s: The time, in seconds since 1970-01-01 UTC. Default: that of the machine.

    Raises:
        NotVerified: It is not signed with the secret, or too old, or no message.
        ValueError: A secret is none.
    """
    content = body.encode() if isinstance(body, str) else bytes(body)
    given = {name.lower(): value for name, value in headers.items()}
    message_id, sent, signatures = (
        _header(given, f"webhook-{name}") for name in ("id", "timestamp", "signature")
    )
    _check_time(sent, time.time() if now_s is None else now_s, tolerance_s)
    signed = b"%s.%s.%s" % (message_id.encode(), sent.encode(), content)
    keys = [_key(one) for one in ([secret] if isinstance(secret, str) else secret)]
    if not _is_signed(signed, signatures, keys):
        raise NotVerified("no signature of it is made with the secret")
    try:
        said = json.loads(content)
    except ValueError:
        raise NotVerified("it is no JSON") from None
    if not isinstance(said, dict):
        raise NotVerified("it is no JSON object")
    return said


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise NotVerified(f"it has no header {name}")
    return value


def _check_time(sent: str, now_s: float, tolerance_s: float) -> None:
    if not (sent.isascii() and sent.isdigit()):
        raise NotVerified("its webhook-timestamp is no number of seconds")
    if abs(now_s - int(sent)) > tolerance_s:
        raise NotVerified(f"it was not sent within {tolerance_s:g} s of now")


def _is_signed(signed: bytes, signatures: str, keys: Iterable[bytes]) -> bool:
    """Whether one of the signatures is made with one of the keys: all are looked at."""
    wanted = [hmac.digest(key, signed, "sha256") for key in keys]
    found = False
    for signature in signatures.split(" "):
        version, _, text = signature.partition(",")
        if version != _VERSION:
            continue
        try:
            made = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        for digest in wanted:
            found |= hmac.compare_digest(digest, made)
    return found


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a secret is {_PREFIX} and base64, as the gateway told it") from None
