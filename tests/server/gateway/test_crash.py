"""A gateway that is killed in the middle of everything, and started again."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.backends import Job, running_backend
from tests.processes import GatewayProcess, start_gateway

TASKS = 1_000
SLOTS = 600
AT_ONCE = 50


class Worker:
    """A backend that accepts at once and finishes when it is told to, however long that takes."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.accepted: Counter[str] = Counter()
        self.accepted_all = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._calls = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, job: Job) -> web.StreamResponse:
        self.accepted[job["id"]] += 1
        if len(self.accepted) >= SLOTS:
            self.accepted_all.set()
        work = asyncio.create_task(self._work(job))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return web.json_response({"status": "accepted"})

    async def _work(self, job: Job) -> None:
        await self.release.wait()
        update = {"status": "COMPLETED", "result": job["payload"]}
        async with self._calls, aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.put(job["callback_url"], json=update) as response:
                        assert response.status == 200, await response.text()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)

    async def close(self) -> None:
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)


async def call(gateway: GatewayProcess, verb: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(verb, f"{gateway.rest}{path}", json=body) as response,
    ):
        assert response.status < 300, await response.text()
        return await response.json()


async def create_all(gateway: GatewayProcess) -> list[str]:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def create(number: int) -> str:
        async with at_once:
            body = {"type": "echo", "payload": {"number": number}}
            return str((await call(gateway, "POST", "/api/tasks", body))["id"])

    return await asyncio.gather(*(create(number) for number in range(TASKS)))


async def test_all_that_was_acknowledged_ends_completed_and_nothing_runs_twice(
    tmp_path: Path,
) -> None:
    worker = Worker()
    gateway = await start_gateway(tmp_path)
    try:
        async with running_backend(worker) as backend:
            server = {"url": backend.url, "name": "worker", "maxConcurrent": SLOTS}
            await call(gateway, "POST", "/api/servers/register", server)
            ids = await create_all(gateway)
            await worker.accepted_all.wait()

            await gateway.kill()
            worker.release.set()
            await gateway.restart()

            tasks = [await call(gateway, "GET", f"/api/tasks/{one}?wait=60") for one in ids]
        assert Counter(task["status"] for task in tasks) == {"COMPLETED": TASKS}
        assert [task["result"]["number"] for task in tasks] == list(range(TASKS))
        assert worker.accepted == Counter(ids)
    finally:
        await worker.close()
        await gateway.stop()
