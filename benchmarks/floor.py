"""The floor: the least a gateway of this kind can do. State in a dict, no tokens, no disk.

What Inferry costs is read as its distance from here: same REST surface, same HTTP libraries,
same number of hops, and nothing else. Run as a process: ``python -m benchmarks.floor``.
"""

import asyncio
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

Task = dict[str, Any]
_JSON = {"Content-Type": "application/json"}


class Floor:
    """A gateway that forgets: it knows one server and the tasks since it started."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self._session = session
        self._server = ""
        self._tasks: dict[str, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The REST surface that the load uses."""
        return [
            web.post("/api/servers/register", self._register),
            web.post("/api/tasks", self._create),
            web.get("/api/tasks/{id}", self._get),
            web.put("/api/tasks/{id}", self._update),
        ]

    async def _register(self, request: web.Request) -> web.Response:
        self._server = orjson.loads(await request.read())["url"]
        return _answer({"id": "srv_1", "status": "active"})

    async def _create(self, request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        task = {
            "id": f"task_{len(self._tasks)}",
            "type": asked["type"],
            "status": "PENDING",
            "payload": asked.get("payload", {}),
        }
        self._tasks[task["id"]] = task
        if not asked.get("async", True):
            await self._dispatch(task, None)
            return _answer(task)
        running = asyncio.create_task(self._dispatch(task, f"{self.url}/api/tasks/{task['id']}"))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return _answer(task, status=202)

    async def _get(self, request: web.Request) -> web.Response:
        return _answer(self._tasks[request.match_info["id"]])

    async def _update(self, request: web.Request) -> web.Response:
        task = self._tasks[request.match_info["id"]]
        task |= orjson.loads(await request.read())
        return _answer({"id": task["id"], "status": task["status"]})

    async def _dispatch(self, task: Task, callback_url: str | None) -> None:
        body = {
            "id": task["id"],
            "type": task["type"],
            "payload": task["payload"],
            "callback_url": callback_url,
            "timeout": 30_000,
        }
        sent = self._session.post(f"{self._server}/process", data=orjson.dumps(body), headers=_JSON)
        async with sent as response:
            answer = orjson.loads(await response.read())
        if answer["status"] == "success":
            task |= {"status": "COMPLETED", "result": answer["result"]}
        elif task["status"] == "PENDING":
            task["status"] = "PROCESSING"


def _answer(body: Task, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def _main() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        floor, app = Floor(session), web.Application()
        app.add_routes(floor.routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        floor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        print(f"floor ready rest={floor.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
