"""What a token says, read strictly: what two readers would take for two things is refused.

A subject and a tenant go on to logs, the database and messages, all of which are UTF-8; a byte
order mark, UTF-16 or half of a surrogate pair would break there, far from the one who sent it.
"""

import re
from base64 import urlsafe_b64decode
from binascii import Error as NoBase64Error
from collections.abc import Mapping
from typing import Any

import orjson

from inferry.server.errors import UnauthenticatedError

Claims = Mapping[str, Any]

#: No claim beyond this is a time; its milliseconds are exact as a float, too.
_MAX_SECONDS = 2**43
#: What would forge lines of a log (JavaScript ends lines in two more ways), and what is no text.
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_object(text: bytes, part: str) -> Claims:
    """Reads a JSON object in UTF-8.

    Args:
        text: The JSON.
        part: What it is, for the error.

    Raises:
        UnauthenticatedError: It is none.
    """
    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError:
        members = None
    if not isinstance(members, dict):
        raise UnauthenticatedError(f"the token's {part} must be a JSON object in UTF-8")
    return members


def read_header(token: str) -> Claims:
    """Reads a token's header, which nobody has verified.

    Raises:
        UnauthenticatedError: It has none that can be read.
    """
    segment = token.partition(".")[0].rstrip("=")
    try:
        return read_object(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)), "header")
    except NoBase64Error:
        raise UnauthenticatedError("the token is no well-formed JSON Web Token") from None


def text_of(claims: Claims, name: str) -> str:
    """Reads a claim that names somebody.

    Raises:
        UnauthenticatedError: It is missing, empty or no text, or has control characters.
    """
    text = _required(claims, name)
    if not isinstance(text, str) or not text or _NO_NAME.search(text):
        raise UnauthenticatedError(
            f"the token's claim {name!r} must be a text, not empty and without control characters"
        )
    return text


def time_ms_of(claims: Claims, name: str) -> float:
    """Reads a claim that is a time, in milliseconds since the epoch.

    Raises:
        UnauthenticatedError: It is missing or no time.
    """
    value = _required(claims, name)
    # True is an int.
    if type(value) not in (int, float) or not 0 <= value <= _MAX_SECONDS:
        raise UnauthenticatedError(f"the token's claim {name!r} must be a time in seconds")
    return float(value * 1_000)


def check_issuer(claims: Claims, issuer: str | None) -> None:
    """Checks who made the token; None takes any.

    Raises:
        UnauthenticatedError: It was somebody else.
    """
    if issuer is not None and _required(claims, "iss") != issuer:
        raise UnauthenticatedError("the token's issuer is not the one configured")


def check_audience(claims: Claims, audience: str | None) -> None:
    """Checks whom the token is meant for; None takes only what is meant for nobody in particular.

    Raises:
        UnauthenticatedError: It is not meant for us.
    """
    if audience is None:
        # An empty one, too, names somebody who is not us.
        meant = "aud" not in claims
    else:
        named = _required(claims, "aud")
        meant = audience in named if isinstance(named, list) else named == audience
    if not meant:
        raise UnauthenticatedError("the token is meant for another audience")


def _required(claims: Claims, name: str) -> Any:
    try:
        return claims[name]
    except KeyError:
        raise UnauthenticatedError(f"the token has no claim {name!r}") from None
