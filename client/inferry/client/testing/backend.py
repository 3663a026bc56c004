"""The backend of a fake gateway: it runs Python functions."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
from aiohttp import web

from inferry.client.payloads import text_of, value_of
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import UpdateTaskRequest
from inferry.wire.hosts import with_port

#: Takes a payload, or a payload and the ``RunningTask``; gives the result, or raises.
Handler = Callable[..., Any]
Report = Callable[[TaskUpdate], Awaitable[None]]

_HOST = "127.0.0.1"


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


class Functions:
    """Serves functions as the guide has it for backends.

    Args:
        handlers: By the type of task that they work on.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)
        self._running: dict[str, asyncio.Task[None]] = {}
        #: A TaskService stub, which takes the reports; there is none before the gateway runs.
        self.tasks: Any = None

    @property
    def types(self) -> list[str]:
        """The types of task that it takes."""
        return sorted(self._handlers)

    async def start(self, stack: contextlib.AsyncExitStack) -> str:
        """Takes a free port until ``stack`` ends; gives its URL."""
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
                await self.tasks.UpdateTask(request)

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
        if _takes_task(handler):
            given += (RunningTask(job["id"], job["attempt"], report),)
        if inspect.iscoroutinefunction(handler):
            return await handler(*given)
        return await asyncio.to_thread(handler, *given)

    async def break_off(self) -> None:
        """Ends what runs."""
        for running in list(self._running.values()):
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


def _takes_task(handler: Handler) -> bool:
    """Whether a handler has a second argument that it cannot do without."""
    try:
        named = inspect.signature(handler).parameters.values()
    except ValueError:
        # Some that are written in C do not say.
        return False
    empty = inspect.Parameter.empty
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.default is empty and one.kind in places for one in named) > 1


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
