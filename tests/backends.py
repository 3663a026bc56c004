"""A scripted HTTP backend in this process: the fake at the edge of tests of the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

Job = dict[str, Any]
Answer = Callable[[Job], Awaitable[web.StreamResponse]]


def say(body: object, status: int = 200) -> Answer:
    """Answers every dispatch alike: bytes as they are, all else as JSON."""

    async def answer(_job: Job) -> web.StreamResponse:
        text = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(body=text, status=status, content_type="application/json")

    return answer


SUCCESS = say({"status": "success", "result": {"done": True}})
ACCEPTED = say({"status": "accepted", "message": "Task queued"})


@dataclass
class Backend:
    """What it answers, and what it was asked."""

    url: str = ""
    answer: Answer = SUCCESS
    healthy: bool = True
    #: What its health check names; None names nothing.
    claims: list[str] | None = None
    jobs: asyncio.Queue[Job] = field(default_factory=asyncio.Queue)
    #: What it answers to a cancel; 404 knows no such endpoint.
    cancel_status: int = 200
    cancels: asyncio.Queue[Job] = field(default_factory=asyncio.Queue)
    #: Every dispatch that ever came, in order.
    history: list[Job] = field(default_factory=list)
    #: Their bodies, as they came.
    bodies: list[bytes] = field(default_factory=list)
    #: Their headers.
    headers: list[Mapping[str, str]] = field(default_factory=list)
    #: The latest ``Authorization`` that came to each path.
    authorization: dict[str, str | None] = field(default_factory=dict)

    async def next_job(self) -> Job:
        """Waits for the next dispatch."""
        async with asyncio.timeout(10):
            return await self.jobs.get()

    async def report(self, job: Job, **update: object) -> tuple[int, dict[str, Any]]:
        """Calls back; returns the status of HTTP and the body."""
        async with (
            aiohttp.ClientSession() as session,
            session.put(job["callback_url"], json=update) as response,
        ):
            return response.status, await response.json()

    async def _process(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._note_caller(request)
        job = json.loads(body)
        self.bodies.append(body)
        self.headers.append(request.headers)
        self.history.append(job)
        self.jobs.put_nowait(job)
        return await self.answer(job)

    def _note_caller(self, request: web.Request) -> None:
        self.authorization[request.path] = request.headers.get("Authorization")

    async def next_cancel(self) -> Job:
        """Waits for the next call to stop a task."""
        async with asyncio.timeout(10):
            return await self.cancels.get()

    async def _cancel(self, request: web.Request) -> web.Response:
        self._note_caller(request)
        self.cancels.put_nowait(await request.json())
        return web.json_response({}, status=self.cancel_status)

    async def _health(self, request: web.Request) -> web.Response:
        self._note_caller(request)
        load = {"cpu": 45, "memory": 60, "active_tasks": 3, "queue_length": 5}
        status = "healthy" if self.healthy else "unhealthy"
        said = {"status": status, "timestamp": 1704067200000, "load": load}
        if self.claims is not None:
            said["capabilities"] = self.claims
        return web.json_response(said)


@asynccontextmanager
async def running_backend(answer: Answer = SUCCESS) -> AsyncIterator[Backend]:
    """Runs a backend on a free port."""
    backend = Backend(answer=answer)
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/process", backend._process)
    app.router.add_post("/cancel", backend._cancel)
    app.router.add_get("/health", backend._health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    backend.url = f"http://{host}:{port}"
    try:
        yield backend
    finally:
        await runner.cleanup()
