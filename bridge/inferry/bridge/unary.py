"""Endpoints of RPCs that answer once."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from inferry.bridge.exchange import Exchange
from inferry.bridge.transcode import Transcoder
from inferry.v1 import task_pb2, task_service_pb2

#: What a stub has for such an RPC.
Call = Callable[..., Awaitable[Any]]

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
#: Seconds that a client may prefer to wait at most; what GetTask takes.
_LONGEST_WAIT_S = 60


class Unary:
    """Asks and answers."""

    def __init__(self, transcoder: Transcoder, call: Call, *, reads: bool) -> None:
        self._transcoder = transcoder
        self._call = call
        self._reads = reads

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the response."""
        request = await self._transcoder.request(exchange)
        if self._reads:
            # A write goes on without its client: a backend may hang up once it has reported.
            exchange.end_with_client()
        response = await self._call(request, metadata=exchange.metadata)
        return exchange.answer(self._transcoder.plain(response))


class Create:
    """Creates a task. Its caller may wait for the end, or a while, or not at all."""

    def __init__(self, transcoder: Transcoder, create: Call, read: Call) -> None:
        self._transcoder = transcoder
        self._create = create
        self._read = read

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the final task if that was waited for, else 202 with the task."""
        request = await self._transcoder.request(exchange)
        waits = request.HasField("asynchronous") and not request.asynchronous
        if waits:
            exchange.end_with_client()
        response = await self._create(request, metadata=exchange.metadata)
        task = response.task
        headers = {"Location": f"/api/tasks/{task.id}"}
        if waits:
            return exchange.answer(self._transcoder.plain(response), 200, headers)
        wait_s = preferred_wait_s(exchange.request.headers.get("Prefer", ""))
        if wait_s and task.status < task_pb2.Task.COMPLETED:
            exchange.end_with_client()
            patient = task_service_pb2.GetTaskRequest(id=task.id, wait_seconds=wait_s)
            response = await self._read(patient, metadata=exchange.metadata)
        if wait_s and response.task.status >= task_pb2.Task.COMPLETED:
            headers["Preference-Applied"] = f"wait={wait_s}"
            return exchange.answer(self._transcoder.plain(response), 200, headers)
        return exchange.answer(self._transcoder.plain(response), 202, headers)


def preferred_wait_s(prefer: str) -> int:
    """Reads ``wait=N`` from a ``Prefer`` header (RFC 7240); 0 when there is none."""
    match = _WAIT.search(prefer) if prefer else None
    return min(int(match[1]), _LONGEST_WAIT_S) if match else 0
