"""A real gateway, in a process of its own, whose machine's wall clock is set: by libfaketime.

The clock of this process stays as it is, and so does the monotonic clock of the gateway's.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferry.server.access.secret import read_secret
from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SystemClock
from tests.backends import ACCEPTED, Backend, running_backend
from tests.processes import GatewayProcess, start_gateway

HOUR_S = 3_600
NEVER_MS = "600000"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEP = "the machine's clock was set"


@pytest.fixture(autouse=True)
def _faketime() -> None:
    if not LIBRARIES:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("needs libfaketime: apt-get install faketime")


class Machine:
    """A gateway's process, and the wall clock that it sees."""

    def __init__(self, gateway: GatewayProcess, wall: Path) -> None:
        self.process = gateway
        self._wall = wall
        now_ms = SystemClock().now_ms()
        secret = read_secret(gateway.data_dir, None)
        # It holds whatever is done to the clock.
        token = issue_token(secret, "me", Role.ADMIN, None, 72_000, now_ms - 36_000_000)
        self._headers = {"Authorization": f"Bearer {token}"}

    def set(self, by_s: int) -> None:
        """Sets the wall clock to so much more or less than it is."""
        write(self._wall, by_s)

    async def call(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession(self.process.rest, headers=self._headers) as http,
            http.request(verb, path, json=body) as response,
        ):
            assert response.status < 300, await response.text()
            return dict(await response.json())

    async def create(self, **more: object) -> str:
        return str((await self.call("POST", "/api/tasks", {"type": "echo", **more}))["id"])

    async def register(self, backend: Backend, **more: object) -> None:
        said = {"url": backend.url, "name": "backend", "capabilities": ["echo"], **more}
        await self.call("POST", "/api/servers/register", said)

    async def end(self, task_id: str) -> tuple[str, str]:
        """Waits for a task's end; returns its status and which timeout ended it."""
        task = await self.call("GET", f"/api/tasks/{task_id}?wait=30")
        return task["status"], task.get("details", {}).get("phase", "")

    async def swept(self) -> None:
        """Waits until timeouts that are over must have been noticed: one that begins now was."""
        begun = await self.create(type="nobody", queueTimeout=1)
        assert await self.end(begun) == ("TIMEOUT", "queue")

    async def seen(self, steps: int) -> None:
        """Waits until the gateway has seen that its clock was set so often."""
        async with asyncio.timeout(20):
            while self.process.log.count(STEP) < steps:
                await self.swept()


def write(wall: Path, by_s: int) -> None:
    new = wall.with_suffix(".new")
    new.write_text(f"{by_s:+}\n")
    new.replace(wall)


@asynccontextmanager
async def machine(directory: Path, **settings: str) -> AsyncIterator[Machine]:
    wall = directory / "wall"
    write(wall, 0)
    faked = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(wall),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "INFERRY_GRACE_MS": "0",
        **settings,
    }
    gateway = await start_gateway(directory, settings=faked)
    try:
        yield Machine(gateway, wall)
    finally:
        await gateway.stop()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(ACCEPTED) as backend:
        yield backend


async def test_an_hour_forward_ends_no_task_and_is_logged_once(
    tmp_path: Path, backend: Backend
) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(backend)
        running = await gateway.create(timeout=25_000, silenceTimeout=25_000)
        job = await backend.next_job()
        waiting = await gateway.create(type="nobody", queueTimeout=25_000)
        delayed = await gateway.create(delayMs=20_000)
        gateway.set(HOUR_S)
        await gateway.seen(1)
        await gateway.swept()
        for task_id in (running, waiting, delayed):
            task = await gateway.call("GET", f"/api/tasks/{task_id}")
            assert task["status"] in ("PENDING", "PROCESSING")
        await backend.report(job, status="COMPLETED", result=1)
        assert await gateway.end(running) == ("COMPLETED", "")
        assert len(backend.history) == 1
        assert gateway.process.log.count(STEP) == 1


async def test_an_hour_back_has_no_timeout_and_no_delay_stall(
    tmp_path: Path, backend: Backend
) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(backend)
        running = await gateway.create(timeout=2_500)
        waiting = await gateway.create(type="nobody", queueTimeout=2_500)
        delayed = await gateway.create(delayMs=2_000)
        gateway.set(-HOUR_S)
        assert await gateway.end(running) == ("TIMEOUT", "attempt")
        assert await gateway.end(waiting) == ("TIMEOUT", "queue")
        assert [(await backend.next_job())["id"] for _ in range(2)] == [running, delayed]
        await gateway.seen(1)


async def kept(gateway: Machine) -> None:
    await gateway.process.stop()


async def cut(gateway: Machine) -> None:
    await gateway.process.kill()


@pytest.mark.parametrize("ends", [kept, cut])
async def test_after_a_restart_an_hour_later_tasks_go_on(
    tmp_path: Path, backend: Backend, ends: Callable[[Machine], Awaitable[None]]
) -> None:
    async with machine(tmp_path, INFERRY_RESTART_GRACE_MS=NEVER_MS) as gateway:
        await gateway.register(backend, maxConcurrent=1)
        running = await gateway.create(timeout=25_000)
        job = await backend.next_job()
        waiting = await gateway.create(queueTimeout=25_000, totalTimeout=25_000)
        await ends(gateway)
        gateway.set(HOUR_S)
        await gateway.process.restart()
        await gateway.swept()
        await backend.report(job, status="COMPLETED", result=1)
        assert await gateway.end(running) == ("COMPLETED", "")
        job = await backend.next_job()
        await backend.report(job, status="COMPLETED", result=1)
        assert await gateway.end(waiting) == ("COMPLETED", "")


@pytest.mark.parametrize("ends", [kept, cut])
async def test_after_a_restart_an_hour_earlier_nothing_stalls(
    tmp_path: Path, backend: Backend, ends: Callable[[Machine], Awaitable[None]]
) -> None:
    async with machine(tmp_path, INFERRY_RESTART_GRACE_MS="0") as gateway:
        await gateway.register(backend)
        running = await gateway.create(timeout=2_500)
        delayed = await gateway.create(delayMs=2_000)
        await ends(gateway)
        gateway.set(-HOUR_S)
        await gateway.process.restart()
        assert await gateway.end(running) == ("TIMEOUT", "attempt")
        assert [(await backend.next_job())["id"] for _ in range(2)] == [running, delayed]
        assert "the store is ahead of the machine's clock" in gateway.process.log
