"""A receiver of webhooks in this process: the fake at the edge of tests of what is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

#: Where receivers of tests are.
NETWORKS = ["127.0.0.0/8"]


@dataclass
class Message:
    """What came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return orjson.loads(self.body)


Answer = Callable[[Message], Awaitable[web.StreamResponse]]


def answer(status: int, body: str = "", **headers: str) -> Answer:
    """Answers all messages alike."""

    async def say(_message: Message) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return say


@dataclass
class Receiver:
    """What it answers, and what came."""

    url: str = ""
    answer: Answer = field(default_factory=lambda: answer(204))
    messages: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    history: list[Message] = field(default_factory=list)

    async def next(self) -> Message:
        """Waits for the next message."""
        async with asyncio.timeout(20):
            return await self.messages.get()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        message = Message(request.path, dict(request.headers), await request.read())
        message.headers = {name.lower(): value for name, value in message.headers.items()}
        self.history.append(message)
        self.messages.put_nowait(message)
        return await self.answer(message)


@asynccontextmanager
async def running_receiver(said: Answer | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Runs a receiver until the block ends."""
    receiver = Receiver(answer=said or answer(204))
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver._take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, taken = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{taken}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
