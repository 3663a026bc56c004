"""A backend in this process behind a gateway of tests, over either transport."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferry.backend import Backend
from inferry.backend.grpc import Worker
from inferry.backend.grpc.channel import Dial
from inferry.backend.host import Host
from inferry.backend.http import Gateway as Registered
from inferry.backend.http import Place, Server
from inferry.backend.testing.gateway import Gateway, Sent
from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.http import HttpGateway, RefusedError
from tests.backend.handlers import work, work_async

WITHIN_S = 30.0
TYPE = "work"
EXECUTORS: dict[str, tuple[str, Callable[..., Any]]] = {
    "loop": ("loop", work_async),
    "thread": ("thread", work),
    "async-thread": ("thread", work_async),
    "serial": ("serial", work),
    "process": ("process", work),
    "async-process": ("process", work_async),
}
TRANSPORTS = ("http", "grpc")


@dataclass
class Rig:
    """A gateway and its backend."""

    gateway: Gateway
    host: Host

    async def until_taken(self, task_type: str, payload: Any) -> Sent:
        """Sends an attempt, again while the backend says 503, as a gateway does."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    return await self.gateway.send(task_type, payload)
                except RefusedError as error:
                    if error.status != 503:
                        raise
                    await asyncio.sleep(0.01)

    async def ended(self) -> None:
        """Waits for the end of the backend."""
        await asyncio.to_thread(self.host.wait, WITHIN_S)


def backend(executor: str, slots: int = 1, **options: Any) -> Backend:
    """Makes a backend whose one handler runs in an executor."""
    kind, handler = EXECUTORS[executor]
    app = Backend("test", slots, **{"progress_interval": 0.0, "cancel_grace": 0.2, **options})
    app.task(TYPE, executor=kind)(handler)
    return app


@asynccontextmanager
async def rig(
    transport: str,
    app: Backend,
    *,
    drain_timeout: float = WITHIN_S,
    spool: Path | None = None,
    ready: bool = True,
) -> AsyncIterator[Rig]:
    """Runs both; the backend has ended when the block has."""
    async with HttpGateway() if transport == "http" else GrpcGateway() as gateway:
        host: Host
        if isinstance(gateway, HttpGateway):
            place, known = Place("127.0.0.1", 0, None), Registered(gateway.url, "token")
            host = Server(app, place, gateway=known, spool=spool, drain_timeout=drain_timeout)
        else:
            dial = Dial(gateway.address, "token")
            host = Worker(app, dial, spool=spool, drain_timeout=drain_timeout)
        await asyncio.to_thread(host.start)
        try:
            if ready:
                await asyncio.to_thread(host.wait_ready, WITHIN_S)
                if isinstance(gateway, HttpGateway):
                    async with asyncio.timeout(WITHIN_S):
                        await gateway.registered.get()
            yield Rig(gateway, host)
        finally:
            host.hurry()
            await asyncio.to_thread(host.wait, WITHIN_S)
