"""How a backend calls the gateway: until it is heard, and what counts as the last word."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import orjson

from inferry.backend.errors import RefusedError

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
#: The longest that a gateway may ask to be left alone.
_LONGEST_REST_S = 60.0
#: How long one call may take.
CALL_TIMEOUT = aiohttp.ClientTimeout(total=10)

_OK = range(200, 300)
#: Not now: a timeout, and too many calls.
_LATER = frozenset({408, 429})
_SERVER_ERROR = 500
#: Characters of an answer that is no error of a gateway's.
_SHOWN = 200


class NoAnswerError(Exception):
    """Nobody heard it, or not now: it is to be said again.

    Args:
        reason: What happened.
        rest_s: How long the gateway asks to be left alone; 0 if it does not.
    """

    def __init__(self, reason: str, rest_s: float = 0.0) -> None:
        super().__init__(reason)
        self.rest_s = rest_s


class AnswerRefusedError(RefusedError):
    """The gateway heard and refused; saying it again would not help.

    Args:
        status: Of HTTP; 0 if what answered was no gateway.
        text: What it said.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}" if status else text)
        self.status = status


class Backoff:
    """Pauses between tries: from a tenth of a second to five, doubling, with full jitter."""

    def __init__(self) -> None:
        self._longest_s = _FIRST_PAUSE_S

    def next(self, rest_s: float = 0.0) -> float:
        """Gives the next pause in seconds; ``rest_s`` at least."""
        pause_s = max(rest_s, random.uniform(0, self._longest_s))  # noqa: S311 - jitter
        self._longest_s = min(2 * self._longest_s, _LONGEST_PAUSE_S)
        return pause_s


@dataclass(frozen=True, slots=True)
class Request:
    """What the gateway is told, or asked."""

    method: str
    url: str
    #: JSON; None is nothing.
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None


async def call(http: aiohttp.ClientSession, request: Request) -> dict[str, Any]:
    """Sends a request until the gateway answers; waits out its restarts.

    Returns:
        The answer's JSON object.

    Raises:
        AnswerRefusedError: The answer is a 4xx other than 408 and 429, or none of a gateway.
    """
    backoff = Backoff()
    while True:
        try:
            return await ask(http, request)
        except NoAnswerError as error:
            pause_s = backoff.next(error.rest_s)
            # Not the URL: that of a callback is a secret.
            again = "the gateway is called again in %.1f s: %s: %s"
            _log.info(again, pause_s, request.method, error)
        await asyncio.sleep(pause_s)


async def ask(http: aiohttp.ClientSession, request: Request) -> dict[str, Any]:
    """Sends a request once.

    Returns:
        The answer's JSON object.

    Raises:
        AnswerRefusedError: As ``call``.
        NoAnswerError: It is to be sent again.
    """
    # A stream: what is large is sent piece by piece.
    data = None if request.body is None else BytesIO(orjson.dumps(request.body))
    try:
        async with http.request(
            request.method,
            request.url,
            data=data,
            headers={"Content-Type": "application/json", **(request.headers or {})},
            timeout=CALL_TIMEOUT,
            allow_redirects=False,
        ) as answer:
            text = await answer.read()
            status, rest = answer.status, answer.headers.get("Retry-After", "")
    except aiohttp.ClientResponseError:
        raise AnswerRefusedError(0, "what answers there speaks no HTTP") from None
    except aiohttp.InvalidURL:
        raise AnswerRefusedError(0, "this is no URL to call") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoAnswerError(type(error).__name__) from None
    if status in _OK:
        return _object(text) if text else {}
    if status >= _SERVER_ERROR or status in _LATER:
        raise NoAnswerError(f"status {status}", _rest(rest))
    raise AnswerRefusedError(status, _sentence(text))


def _sentence(text: bytes) -> str:
    """Gives what an answer says: of the guide's error its text and code, else how it begins."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("error"), str):
        return f"{said['error']} ({said.get('code', 'without a code')})"
    shown = text.decode(errors="replace")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _rest(text: str) -> float:
    return min(float(text), _LONGEST_REST_S) if text.isascii() and text.isdigit() else 0.0


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise AnswerRefusedError(0, "what answers there is no gateway: its answer is no object")
    return value
