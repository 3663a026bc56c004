"""A server that is killed in the middle of its tasks: a real gateway, backends as processes."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.backends import Backend, Job
from tests.gateways import Running, running_gateway
from tests.processes import gone

CHECKOUT = Path(__file__).parents[3]
LEASE_MS = 1_000
SAYS_WITHIN_S = 30


class LoneBackend:
    """A backend in a process of its own that accepts tasks and works on them for ever."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Waits for what it says next: its URL at first, then its tasks."""
        assert self._process.stdout is not None
        async with asyncio.timeout(SAYS_WITHIN_S):
            line = await self._process.stdout.readline()
        assert line
        return line.decode().strip()

    async def next_job(self) -> Job:
        """Waits for its next task."""
        return dict(orjson.loads(await self.line()))

    async def kill(self) -> None:
        """Ends it in the middle of its work."""
        if self._process.returncode is None:
            self._process.kill()
        await gone(self._process)


@asynccontextmanager
async def lone_backend(gateway: Running, name: str) -> AsyncIterator[tuple[LoneBackend, str]]:
    """Starts a backend and registers it; gives it and its id."""
    command = sys.executable, "-m", "tests.lone_backend"
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=CHECKOUT)
    backend = LoneBackend(process)
    try:
        server_id = await gateway.register(Backend(url=await backend.line()), name=name)
        yield backend, server_id
    finally:
        await backend.kill()


async def report(job: Job, **update: object) -> tuple[int, dict[str, Any]]:
    return await Backend().report(job, **update)


async def test_the_tasks_of_a_killed_server_go_by_the_rules(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, lease_ms=LEASE_MS) as gateway,
        lone_backend(gateway, "first") as (first, first_id),
    ):
        again = await gateway.create(idempotent=True)
        once = await gateway.create()
        jobs = {job["id"]: job for job in [await first.next_job() for _ in range(2)]}
        for task in (again, once):
            path = f"/api/tasks/{task['id']}"
            await gateway.eventually(path, lambda found: found["status"] == "PROCESSING")
        async with lone_backend(gateway, "second") as (second, second_id):
            await first.kill()

            failed = await gateway.task(once["id"], wait_s=30)
            assert (failed["status"], failed["code"]) == ("FAILED", "INTERNAL_ERROR")
            assert failed["details"]["reason"] == "lost"
            assert failed["serverId"] == first_id
            job = await second.next_job()
            assert (job["id"], job["attempt"]) == (again["id"], 2)

            # The dead one comes back to life.
            status, body = await report(jobs[again["id"]], status="COMPLETED", result="late")
            assert (status, body["code"]) == (409, "STALE_ATTEMPT")
            status, _ = await report(jobs[once["id"]], status="COMPLETED", result="late")
            assert status == 409

            assert (await report(job, status="COMPLETED", result="good"))[0] == 200
            done = await gateway.task(again["id"])
            assert (done["status"], done["result"]) == ("COMPLETED", "good")
            assert done["serverId"] == second_id
            status, body = await report(jobs[again["id"]], status="COMPLETED", result="late")
            assert (status, body["code"]) == (409, "STALE_ATTEMPT")
        _, listed = await gateway.call("GET", f"/api/tasks/{again['id']}/attempts")
        assert [one["outcome"] for one in listed["attempts"]] == ["LOST", "SUCCEEDED"]
        _, server = await gateway.call("GET", f"/api/servers/{first_id}")
        assert server["active"] == 0
