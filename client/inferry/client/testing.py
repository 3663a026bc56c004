"""A gateway for the tests of programs that use the client. It needs the ``inferry`` wheel.

It is a real one in this process: the same servicers on a free port, with its store in memory where
the machine has a file system there. Its backend runs Python functions.
"""

import asyncio
import contextlib
import inspect
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_urlsafe
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import grpc
import structlog
from aiohttp import web
from pydantic import SecretStr

from inferry.client.payloads import text_of, value_of
from inferry.server.access.tokens import Role, issue_token
from inferry.server.app.gateway import Gateway
from inferry.server.clock import SystemClock
from inferry.server.config import Config
from inferry.v1.server_service_pb2 import RegisterServerRequest
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import UpdateTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.wire.hosts import with_port

#: Takes a payload, or a payload and the ``RunningTask``; gives the result, or raises.
Handler = Callable[..., Any]

_HOST = "127.0.0.1"
_TOKEN_TTL_S = 86_400
#: A file system in memory, where there is one.
_MEMORY = Path("/dev/shm")  # noqa: S108 - in a folder of its own, whose name nobody knows

Report = Callable[[TaskUpdate], Awaitable[None]]


class RunningTask:
    """What a handler knows of the task that it works on, and can say of it."""

    def __init__(self, task_id: str, attempt: int, report: Report) -> None:
        self.id = task_id
        #: 1, 2, 3, ...
        self.attempt = attempt
        self._report = report
        self._loop = asyncio.get_running_loop()

    def progress(self, percent: float, message: str | None = None) -> None:
        """Reports progress; may be called from any thread, and is not waited for."""
        update = TaskUpdate(status=Task.PROCESSING, progress=percent, message=message)
        asyncio.run_coroutine_threadsafe(_awaited(self._report(update)), self._loop)


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
        self._handlers = dict(handlers)
        self._settings = settings
        self._stack = AsyncExitStack()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._thread: Thread | None = None
        self._stop: Callable[[], object] | None = None
        self._tasks: Any = None
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
        if not structlog.is_configured():
            # What goes well is nothing to fill the output of somebody's tests with.
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=memory))
        secret = token_urlsafe(48)
        given = {"jwt_secret": SecretStr(secret), "host": _HOST, "grpc_port": 0, **self._settings}
        # Nothing of the environment: the settings in it are those of another gateway.
        config = Config(_env_prefix="INFERRY_FAKE_", data_dir=Path(folder), **given)
        url = await self._start_backend(stack)
        gateway = Gateway(config, url)
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        self.address, self.token = gateway.grpc_address, _token(secret)
        self._tasks = TaskServiceStub(gateway.channel)
        stack.push_async_callback(self._break_off)
        if self._handlers:
            # A server without capabilities would get tasks of every type.
            await self._register(gateway.channel, url)

    async def _register(self, channel: Any, url: str) -> None:
        request = RegisterServerRequest(
            url=url, name="handlers", capabilities=sorted(self._handlers), max_concurrent=1_000
        )
        servers: Any = ServerServiceStub(channel)
        await servers.RegisterServer(request, metadata=self._metadata)

    async def _start_backend(self, stack: AsyncExitStack) -> str:
        app = web.Application()
        app.add_routes(
            [
                web.get("/health", _healthy),
                web.post("/process", self._process),
                web.post("/cancel", self._cancel),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, _HOST, 0).start()
        host, port = runner.addresses[0]
        return f"http://{with_port(host, port)}"

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    async def _process(self, request: web.Request) -> web.Response:
        job = value_of(await request.read())
        if job["callback_url"] is None:
            return web.json_response(await self._answer(job))
        running = asyncio.create_task(self._work(job))
        self._running[job["id"]] = running
        return web.json_response({"status": "accepted"})

    async def _cancel(self, request: web.Request) -> web.Response:
        running = self._running.get(value_of(await request.read())["id"])
        if running is not None:
            running.cancel()
        return web.json_response({"status": "cancelled"})

    async def _answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Works on a task that its creator waits for in its own call."""
        try:
            return {"status": "success", "result": await self._call(job, _unheard)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the task failed of it
            return {"status": "error", **_said(error)}

    async def _work(self, job: Mapping[str, Any]) -> None:
        token = parse_qs(urlsplit(job["callback_url"]).query)["token"][0]

        async def report(update: TaskUpdate) -> None:
            # The gateway refuses what comes after the end.
            with contextlib.suppress(grpc.RpcError):
                request = UpdateTaskRequest(id=job["id"], update=update, token=token)
                await self._tasks.UpdateTask(request)

        try:
            result = text_of(await self._call(job, report))
            update = TaskUpdate(status=Task.COMPLETED, result_json=result)
        except Exception as error:  # noqa: BLE001 - whatever it is, the task failed of it
            said = _said(error)
            details = text_of(said.pop("details"))
            update = TaskUpdate(status=Task.FAILED, details_json=details, **said)
        finally:
            if self._running.get(job["id"]) is asyncio.current_task():
                del self._running[job["id"]]
        await report(update)

    async def _call(self, job: Mapping[str, Any], report: Report) -> Any:
        handler = self._handlers[job["type"]]
        given: tuple[Any, ...] = (job["payload"],)
        if len(inspect.signature(handler).parameters) > 1:
            given += (RunningTask(job["id"], job["attempt"], report),)
        if inspect.iscoroutinefunction(handler):
            return await handler(*given)
        return await asyncio.to_thread(handler, *given)

    async def _break_off(self) -> None:
        for running in list(self._running.values()):
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"status": "healthy"})


async def _unheard(_: TaskUpdate) -> None:
    """Nobody hears of the progress of a task that its creator waits for in its own call."""


async def _awaited(report: Awaitable[None]) -> None:
    await report


def _said(error: Exception) -> dict[str, Any]:
    """Gives what a task failed of."""
    return {
        "error": str(error) or type(error).__name__,
        "code": str(getattr(error, "code", "HANDLER_FAILED")),
        "details": dict(getattr(error, "details", None) or {}),
    }


def _token(secret: str) -> str:
    now_ms = SystemClock().now_ms()
    return issue_token(secret.encode(), "tester", Role.ADMIN, None, _TOKEN_TTL_S, now_ms)
