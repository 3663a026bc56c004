"""Calls of gateways that may be gone at any time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import aiohttp
import orjson

from tests.crash.gateways import Gateways
from tests.crash.history import History, Json

#: Between two tries of a call.
_PAUSE_S = 0.02
_CALL_TIMEOUT = aiohttp.ClientTimeout(total=30)
_BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
#: How a stream says that its gateway can say no more.
_COME_AGAIN = "UNAVAILABLE"


class Rest:
    """What everybody calls the gateways through, one after the other."""

    def __init__(self, gateways: Gateways, history: History) -> None:
        self._urls = cycle(gateways.rest)
        self._shared = gateways.shared
        self._history = history
        self.http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {gateways.token}"}, timeout=_CALL_TIMEOUT
        )

    async def once(
        self, verb: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any] | None:
        """Sends a request once there is a connection; None if no whole answer came."""
        while True:
            try:
                async with self.http.request(
                    verb, next(self._urls) + path, json=body, headers=headers
                ) as response:
                    answer = orjson.loads(await response.read())
                    if not self._leaves(response):
                        return response.status, answer
                    self._history.broken.append(f"{verb} {path}: {answer}")
                    return None
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(_PAUSE_S)
            except _BROKEN as error:
                self._history.broken.append(f"{verb} {path}: {error!r}")
                return None

    async def until_answered(
        self, verb: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Sends a request again and again until it is answered."""
        while True:
            answer = await self.once(verb, path, body, headers)
            if answer is not None:
                return answer
            await asyncio.sleep(_PAUSE_S)

    async def create(self, body: Json, key: str | None) -> tuple[int, Any] | None:
        """Creates a task; with a key, until it is answered."""
        headers = {} if key is None else {"Idempotency-Key": key}
        send = self.once if key is None else self.until_answered
        return await send("POST", "/api/tasks", body, headers)

    async def events(self, task_id: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
        """Yields the events of one connection, until it ends or breaks.

        A task's place in the queue, which comes in between, is no event.
        """
        headers = {"Last-Event-ID": str(after)}
        url = f"{next(self._urls)}/api/tasks/{task_id}/events"
        try:
            async with self.http.get(url, headers=headers) as response:
                if self._leaves(response):
                    await asyncio.sleep(_PAUSE_S)
                elif response.status != 200:
                    yield {"refused": response.status}
                async for line in response.content:
                    if line.startswith(b"data:"):
                        event = orjson.loads(line[5:])
                        if self._shared and event.get("code") == _COME_AGAIN:
                            return
                        if event.get("kind") != "QUEUED":
                            yield event
        except _BROKEN:
            await asyncio.sleep(_PAUSE_S)

    def _leaves(self, response: aiohttp.ClientResponse) -> bool:
        """Whether a gateway that stops or begins anew sends its callers to another."""
        return self._shared and response.status == 503


@asynccontextmanager
async def running_rest(gateways: Gateways, history: History) -> AsyncIterator[Rest]:
    """Opens it."""
    rest = Rest(gateways, history)
    try:
        yield rest
    finally:
        await rest.http.close()
