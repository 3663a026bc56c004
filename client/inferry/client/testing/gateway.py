"""A real gateway, in the process of a test."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_urlsafe
from threading import Thread
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from inferry.client.testing.backend import Functions, Handler
from inferry.client.testing.quiet import quiet
from inferry.server.access.tokens import Role, issue_token
from inferry.server.app.gateway import Gateway
from inferry.server.clock import SystemClock
from inferry.server.config import Config
from inferry.v1.server_service_pb2 import RegisterServerRequest
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub

_HOST = "127.0.0.1"
_TOKEN_TTL_S = 86_400
#: A file system in memory, where there is one.
_MEMORY = Path("/dev/shm")  # noqa: S108 - in a folder of its own, whose name nobody knows


class FakeGateway:
    """Runs a gateway and handlers until its block ends; ``with`` does so in a thread of its own.

    >>> async with FakeGateway({"greet": lambda payload: "Hello " + payload["name"]}) as gateway:
    ...     async with AsyncClient(gateway.address, gateway.token) as client:
    ...         await client.run("greet", {"name": "Ada"})
    'Hello Ada'

    Args:
        handlers: Functions or coroutine functions by the type of task that they work on. What one
            raises is the task's error; ``code`` and ``details`` of it are the task's, too.
        settings: Settings of the gateway, such as ``queue_limit``.
    """

    def __init__(self, handlers: Mapping[str, Handler], **settings: Any) -> None:
        self._backend = Functions(handlers)
        self._settings = settings
        self._stack = AsyncExitStack()
        self._thread: Thread | None = None
        self._stop: Callable[[], object] | None = None
        #: ``HOST:PORT`` of its gRPC, once it runs.
        self.address = ""
        #: A token of an admin, once it runs.
        self.token = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stop is not None and self._thread is not None:
            self._stop()
            self._thread.join()

    async def _serve(self, started: "Future[None]") -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        try:
            async with self:
                started.set_result(None)
                await stopped.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _start(self, stack: AsyncExitStack) -> None:
        stack.enter_context(quiet())
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=memory))
        secret = token_urlsafe(48)
        given = {"jwt_secret": SecretStr(secret), "host": _HOST, "grpc_port": 0, **self._settings}
        # Nothing of the environment: the settings in it are those of another gateway.
        config = Config(_env_prefix="INFERRY_FAKE_", data_dir=Path(folder), **given)
        url = await self._backend.start(stack)
        gateway = Gateway(config, url)
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        self.address, self.token = gateway.grpc_address, _token(secret)
        self._backend.tasks = TaskServiceStub(gateway.channel)
        stack.push_async_callback(self._backend.break_off)
        if self._backend.types:
            # A server without capabilities would get tasks of every type.
            await self._register(gateway.channel, url)

    async def _register(self, channel: Any, url: str) -> None:
        request = RegisterServerRequest(
            url=url, name="handlers", capabilities=self._backend.types, max_concurrent=1_000
        )
        servers: Any = ServerServiceStub(channel)
        await servers.RegisterServer(request, metadata=(("authorization", f"Bearer {self.token}"),))


def _token(secret: str) -> str:
    now_ms = SystemClock().now_ms()
    return issue_token(secret.encode(), "tester", Role.ADMIN, None, _TOKEN_TTL_S, now_ms)
