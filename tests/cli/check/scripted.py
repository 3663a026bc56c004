"""A backend that keeps its contract, but for one fault."""

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from inferry.wire.limits import RESULT_BYTES

#: Payloads.
QUICK, LONG, BAD = b"{}", b'{"steps":4}', b'{"bad":true}'


class ScriptedBackend:
    """Works as the guide says, but for its faults: a word each."""

    def __init__(self, http: aiohttp.ClientSession, faults: AbstractSet[str]) -> None:
        self._http = http
        self._faults = faults
        self._running: dict[str, asyncio.Task[None]] = {}
        self._runs = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/process", self._process)
        if "no cancel" not in self._faults:
            app.router.add_post("/cancel", self._cancel)
        app.router.add_get("/health", self._health)
        return app

    async def close(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _health(self, _request: web.Request) -> web.Response:
        if "ill" in self._faults:
            return web.json_response({"status": "unwell"})
        load = {} if "no load" in self._faults else {"load": {"active_tasks": 0}}
        return web.json_response({"status": "healthy", **load})

    async def _cancel(self, request: web.Request) -> web.Response:
        if "bad cancel" in self._faults:
            raise web.HTTPInternalServerError
        task_id = (await request.json())["id"]
        if "deaf" not in self._faults and task_id in self._running:
            self._running[task_id].cancel()
        return web.json_response({})

    async def _process(self, request: web.Request) -> web.Response:  # noqa: PLR0911
        body = await request.read()
        try:
            job = orjson.loads(body)
            payload, url = job["payload"], job["callback_url"]
        except (ValueError, TypeError, KeyError):
            if "crashes" in self._faults:
                raise web.HTTPInternalServerError from None
            return web.json_response({"status": "error", "error": "no task"}, status=400)
        if "bad" in payload and "never fails" not in self._faults:
            if "no word" in self._faults:
                return web.Response(text="oops", status=400)
            return web.json_response({"status": "error", "error": "bad", "code": "BAD"})
        if url is None:
            if "no result" in self._faults:
                return web.json_response({"status": "accepted"})
            # In its quotes it is the largest that there may be.
            result = "x" * (RESULT_BYTES - 2) if "large" in self._faults else {"ok": True}
            return web.json_response({"status": "success", "result": result})
        if job["id"] in self._running and "runs twice" not in self._faults:
            return web.json_response({"status": "accepted"})
        self._runs += 1
        work = asyncio.create_task(self._work(job, self._runs))
        self._running[job["id"]] = work
        return web.json_response({"status": "accepted"})

    async def _work(self, job: dict[str, Any], run: int) -> None:
        steps, url = job["payload"].get("steps", 0), job["callback_url"]
        late = "late" in self._faults and job["timeout"] < 1_000
        try:
            async with asyncio.timeout(None if late else job["timeout"] / 1_000):
                for step in range(steps):
                    progress = 90 - step if "falls" in self._faults else step
                    report = {"status": "PROCESSING", "progress": progress}
                    if "silent" not in self._faults:
                        await self._report(url, report)
                    await asyncio.sleep(0.1)
                if late:
                    await asyncio.Event().wait()
        except TimeoutError:
            await self._report(url, {"status": "TIMEOUT"})
            return
        except asyncio.CancelledError:
            await self._report(url, {"status": "CANCELLED"})
            raise
        if "no end" in self._faults:
            return
        if "no token" in self._faults:
            url = url.partition("?")[0]
        final = b"done" if "no JSON" in self._faults else {"status": "COMPLETED", "result": run}
        await self._report(url, final)

    async def _report(self, url: str, report: Any) -> None:
        body = report if isinstance(report, bytes) else orjson.dumps(report)
        while True:
            async with self._http.put(url, data=body) as answer:
                if answer.status < 500 or "once" in self._faults:
                    return
