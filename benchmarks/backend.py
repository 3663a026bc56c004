"""The backend that both gateways dispatch to: it works for no time at all.

A synchronous task succeeds at once. An asynchronous one is accepted, then reports progress, then
its result; when the gateway has acknowledged that with 200, its id is printed: so the load learns
the end of a task and asks the gateway nothing. Run as a process: ``python -m benchmarks.backend``.
"""

import asyncio
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

_JSON = {"Content-Type": "application/json"}
_SUCCESS = orjson.dumps({"status": "success", "result": {"ok": True}})
_ACCEPTED = orjson.dumps({"status": "accepted", "message": "Task queued for processing"})
_HEALTHY = orjson.dumps({"status": "healthy", "load": {"active_tasks": 0, "queue_length": 0}})
_REPORTS = (
    orjson.dumps({"status": "PROCESSING", "progress": 50, "message": "half way"}),
    orjson.dumps({"status": "COMPLETED", "result": {"ok": True}}),
)


class Backend:
    """Answers ``/process`` and ``/health`` as the guide says."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._running: set[asyncio.Task[None]] = set()

    async def process(self, request: web.Request) -> web.Response:
        """Takes a task."""
        task: dict[str, Any] = orjson.loads(await request.read())
        if task["callback_url"] is None:
            return web.Response(body=_SUCCESS, content_type="application/json")
        running = asyncio.create_task(self._report(task["id"], task["callback_url"]))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return web.Response(body=_ACCEPTED, content_type="application/json")

    async def health(self, _: web.Request) -> web.Response:
        """Is always well."""
        return web.Response(body=_HEALTHY, content_type="application/json")

    async def _report(self, task_id: str, callback_url: str) -> None:
        for body in _REPORTS:
            async with self._session.put(callback_url, data=body, headers=_JSON) as response:
                answer = await response.read()
                if response.status != 200:
                    print(f"refused {task_id} {response.status} {answer!r}", flush=True)
                    return
        print(f"done {task_id}", flush=True)


async def _main() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        backend, app = Backend(session), web.Application()
        app.add_routes([web.post("/process", backend.process), web.get("/health", backend.health)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"backend ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
