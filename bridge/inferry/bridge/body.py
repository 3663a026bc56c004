"""Reads a request's body as JSON, within its limits."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from google.protobuf.message import Message

from inferry.bridge.errors import CLOSE, BridgeError, refusal
from inferry.wire.decode import Decoder
from inferry.wire.errors import FieldError, NoJsonError, show
from inferry.wire.text import no_json, without_bom

_JSON = "application/json"
#: A body without a type is one, too.
_JSON_TYPES = frozenset({_JSON, "text/json", ""})


def has_body(request: web.BaseRequest) -> bool:
    """Whether a request has a body, or may yet have one."""
    return not (request.content.is_eof() and request.content.at_eof())


async def read_body(
    request: web.BaseRequest, limit: int, timeout_s: float, *, any_type: bool = False
) -> bytes:
    """Reads a body of JSON; empty when there is none.

    Args:
        request: The request.
        limit: Bytes of the body, at most.
        timeout_s: How long all of it may take to come.
        any_type: Whether it may be called anything.

    Raises:
        BridgeError: It is too large (413), too slow (408), or not called JSON (415).
    """
    if not has_body(request):
        return b""
    content = request.content
    _check_coding(request.headers)
    if not any_type:
        _check_type(request.headers)
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    if content.is_eof():
        # All of it came with the headers: the common case needs no timer.
        body = content.read_nowait()
    else:
        body = await _read_slowly(content, limit, timeout_s)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _read_slowly(content: Any, limit: int, timeout_s: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while len(body) <= limit and not content.at_eof():
                body += await content.readany()
    except TimeoutError:
        raise BridgeError(
            408, "TIMEOUT", f"the body took longer than {timeout_s:g} s", headers=CLOSE
        ) from None
    except web.RequestPayloadError:
        raise BridgeError(
            400, "INVALID_PAYLOAD", "the body is not what its headers say", headers=CLOSE
        ) from None
    return bytes(body)


def _too_large(limit: int) -> BridgeError:
    return BridgeError(
        413,
        "PAYLOAD_TOO_LARGE",
        f"the body is larger than {limit} bytes",
        details={"limit": limit},
        headers=CLOSE,
    )


def _check_coding(headers: Mapping[str, str]) -> None:
    given = headers.get("Content-Encoding")
    if given and not {word.strip() for word in given.lower().split(",")} <= {"", "identity"}:
        raise BridgeError(
            415, "INVALID_FORMAT", f"send the body without Content-Encoding, got {show(given)}"
        )


def _check_type(headers: Mapping[str, str]) -> None:
    given = headers.get("Content-Type", _JSON)
    if given == _JSON:
        return
    media = given.partition(";")[0].strip().lower()
    if media in _JSON_TYPES or media.endswith("+json"):
        return
    hint = ""
    if media == "application/x-www-form-urlencoded":
        hint = " (with curl: -H 'Content-Type: application/json')"
    raise BridgeError(
        415, "INVALID_FORMAT", f"expected Content-Type: {_JSON}, got {show(media)}{hint}"
    )


def fill(message: Message, body: bytes, decode: Decoder) -> None:
    """Fills a message from the JSON object in a body; an empty body is an empty object.

    Raises:
        BridgeError: The body is no JSON, no object, or not what the message takes (400).
    """
    if not body:
        return
    text = without_bom(body)
    try:
        decode(message, text)
    except NoJsonError as error:
        # A member knows only its own places.
        raise refusal(no_json(text, error.position)) from None
    except FieldError as error:
        raise refusal(error) from None
