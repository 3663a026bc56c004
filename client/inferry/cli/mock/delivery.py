"""How the mock backend talks to the gateway: it calls until it is heard."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import structlog

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
#: How long one call may take.
CALL_TIMEOUT = aiohttp.ClientTimeout(total=10)

_OK = 200
_TOO_MANY = 429
_SERVER_ERROR = 500


class RefusedError(Exception):
    """The gateway heard and refused; calling again would not help."""


async def call(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Sends JSON, or nothing, until the gateway answers; waits out its restarts.

    Returns:
        The answer's JSON object.

    Raises:
        RefusedError: The answer is a 4xx other than 429, or none of a gateway.
    """
    pause_s = _FIRST_PAUSE_S
    data = None if body is None else orjson.dumps(body)
    given = {"Content-Type": "application/json", **(headers or {})}
    while True:
        try:
            async with http.request(
                method, url, data=data, headers=given, timeout=CALL_TIMEOUT
            ) as answer:
                text = await answer.read()
                if answer.status == _OK:
                    return _object(text)
                if answer.status < _SERVER_ERROR and answer.status != _TOO_MANY:
                    raise RefusedError(f"{answer.status} {text.decode(errors='replace')}")
                reason = f"status {answer.status}"
        except aiohttp.ClientResponseError:
            raise RefusedError("what answers there speaks no HTTP") from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            reason = type(error).__name__
        _log.info("the gateway is called again", method=method, reason=reason, pause_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise RefusedError("what answers there is no gateway: its answer is no JSON object")
    return value
