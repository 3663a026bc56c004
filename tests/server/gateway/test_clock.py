"""A gateway on a machine whose wall clock is set while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from yarl import URL

from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SteadyClock, SystemClock
from tests.backends import ACCEPTED, SUCCESS, Backend, running_backend, say
from tests.gateways import SECRET, Running, running_gateway

HOUR_MS = 3_600_000


class SetWall(SystemClock):
    """The machine's wall clock, set by hand."""

    def __init__(self, by_ms: int = 0) -> None:
        self.by_ms = by_ms

    def now_ms(self) -> int:
        return super().now_ms() + self.by_ms


class Machine:
    """A gateway, and the wall clock of its machine."""

    def __init__(self, running: Running, wall: SetWall) -> None:
        self.running = running
        self.wall = wall
        now_ms = SystemClock().now_ms()
        secret = SECRET.encode()
        #: It holds whatever is done to the clock.
        self._token = issue_token(secret, "me", Role.ADMIN, None, 72_000, now_ms - 10 * HOUR_MS)

    async def call(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = await self.running.call(verb, path, body, auth=self._token)
        assert status < 300, answer
        return dict(answer)

    async def create(self, **more: object) -> str:
        return str((await self.call("POST", "/api/tasks", {"type": "echo", **more}))["id"])

    async def register(self, backend: Backend, **more: object) -> str:
        said = {"url": backend.url, "name": "backend", **more}
        return str((await self.call("POST", "/api/servers/register", said))["id"])

    async def end(self, task_id: str) -> tuple[str, str]:
        """Waits for a task's end; returns its status and which timeout ended it."""
        task = await self.call("GET", f"/api/tasks/{task_id}?wait=20")
        return task["status"], task.get("details", {}).get("phase", "")

    async def status(self, task_id: str) -> str:
        return str((await self.call("GET", f"/api/tasks/{task_id}"))["status"])

    async def swept(self) -> None:
        """Waits until timeouts that are over must have been noticed: one that begins now was."""
        assert await self.end(await self.create(type="nobody", queueTimeout=1)) == (
            "TIMEOUT",
            "queue",
        )


@asynccontextmanager
async def machine(data: Path, by_ms: int = 0, **settings: Any) -> AsyncIterator[Machine]:
    wall = SetWall(by_ms)
    clock = SteadyClock(lambda _by_ms, _ahead_ms: None, wall)
    async with running_gateway(data, clock=clock, grace_ms=0, **settings) as running:
        yield Machine(running, wall)


@pytest.fixture
async def accepting() -> AsyncIterator[Backend]:
    async with running_backend(ACCEPTED) as backend:
        yield backend


async def test_an_hour_forward_ends_no_task(tmp_path: Path, accepting: Backend) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting, maxConcurrent=1)
        running = await gateway.create(timeout=60_000, silenceTimeout=60_000)
        await accepting.next_job()
        waiting = await gateway.create(queueTimeout=60_000)
        gateway.wall.by_ms = HOUR_MS
        await gateway.swept()
        assert await gateway.status(running) in ("PENDING", "PROCESSING")
        assert await gateway.status(waiting) == "PENDING"
        (held,) = gateway.running.gateway._memory.fleet
        assert len(held.holding) == 1


async def test_an_hour_back_has_nothing_stall(tmp_path: Path, accepting: Backend) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting)
        before = await gateway.create(timeout=500)
        delayed = await gateway.create(delayMs=700)
        gateway.wall.by_ms = -HOUR_MS
        assert await gateway.end(before) == ("TIMEOUT", "attempt")
        jobs = [(await accepting.next_job())["id"] for _ in range(2)]
        assert jobs == [before, delayed]


async def test_times_of_events_never_go_back(tmp_path: Path, accepting: Backend) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting)
        task_id = await gateway.create()
        job = await accepting.next_job()
        for by_ms in (HOUR_MS, -HOUR_MS, 0):
            gateway.wall.by_ms = by_ms
            await accepting.report(job, status="PROCESSING", progress=1)
        store = gateway.running.gateway._store
        times = [event.at_ms for event in await store.events(task_id, 0, 100)]
        assert len(times) >= 5
        assert times == sorted(times)
        assert times[-1] - times[0] < HOUR_MS


async def test_tokens_are_judged_by_the_machines_clock(tmp_path: Path) -> None:
    now_ms = SystemClock().now_ms()
    token = issue_token(SECRET.encode(), "me", Role.ADMIN, None, 600, now_ms)
    async with machine(tmp_path) as gateway:
        for by_ms, status in ((0, 200), (HOUR_MS, 401), (0, 200), (-HOUR_MS, 200)):
            gateway.wall.by_ms = by_ms
            got, _ = await gateway.running.call("GET", "/api/queue", auth=token)
            assert got == status
        unknown = issue_token(SECRET.encode(), "you", Role.ADMIN, None, 600, now_ms)
        assert (await gateway.running.call("GET", "/api/queue", auth=unknown))[0] == 401


async def test_that_the_clock_was_set_is_logged_once(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running_gateway(tmp_path) as gateway:
            clock = gateway.gateway._clock
            clock.wall = wall = SetWall(-HOUR_MS)
            for _ in range(3):
                clock.catch_up()
            wall.by_ms = HOUR_MS
            for _ in range(3):
                clock.catch_up()
    told = [log for log in logs if log["event"] == "the machine's clock was set"]
    assert [(log["log_level"], round(log["by_s"])) for log in told] == [
        ("warning", -3_600),
        ("warning", 7_200),
    ]


@pytest.mark.parametrize("by_ms", [0, HOUR_MS])
async def test_deadlines_that_came_while_the_gateway_was_away_get_a_grace(
    tmp_path: Path, accepting: Backend, by_ms: int
) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting, maxConcurrent=1)
        reported = await gateway.create(timeout=300, totalTimeout=300)
        job = await accepting.next_job()
        waiting = await gateway.create(queueTimeout=300, totalTimeout=300)
    await asyncio.sleep(0.3)
    async with machine(tmp_path, by_ms, restart_grace_ms=600_000) as gateway:
        await gateway.swept()
        # A callback still lands, and what waits is still given to a server.
        job["callback_url"] = f"{gateway.running.url}{URL(job['callback_url']).raw_path_qs}"
        await accepting.report(job, status="COMPLETED", result=1)
        assert await gateway.end(reported) == ("COMPLETED", "")
        job = await accepting.next_job()
        assert (job["id"], job["timeout"]) == (waiting, 300_000)
        await accepting.report(job, status="COMPLETED", result=1)
        assert await gateway.end(waiting) == ("COMPLETED", "")


async def test_a_wait_of_before_a_restart_goes_on_when_a_server_refuses(
    tmp_path: Path, backend: Backend
) -> None:
    async with machine(tmp_path) as gateway:
        waiting = await gateway.create(queueTimeout=100)
    await asyncio.sleep(0.1)
    backend.answer = say({"error": "busy"}, 503)
    async with machine(tmp_path, restart_grace_ms=600_000) as gateway:
        await gateway.register(backend)
        await backend.next_job()
        await gateway.swept()
        assert await gateway.status(waiting) == "PENDING"
        backend.answer = SUCCESS
        assert await gateway.end(waiting) == ("COMPLETED", "")


@pytest.mark.parametrize("grace_ms", [0, 500])
async def test_when_the_grace_is_over_they_end_by_the_clock_that_ran_out(
    tmp_path: Path, accepting: Backend, grace_ms: int
) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting, maxConcurrent=1)
        running = await gateway.create(timeout=300)
        await accepting.next_job()
        waiting = await gateway.create(type="nobody", queueTimeout=300)
        whole = await gateway.create(type="nobody", totalTimeout=300)
    async with machine(tmp_path, HOUR_MS, restart_grace_ms=grace_ms) as gateway:
        assert await gateway.end(running) == ("TIMEOUT", "attempt")
        assert await gateway.end(waiting) == ("TIMEOUT", "queue")
        assert await gateway.end(whole) == ("TIMEOUT", "total")


async def test_a_clock_set_back_while_the_gateway_was_away_has_nothing_stall(
    tmp_path: Path, accepting: Backend
) -> None:
    async with machine(tmp_path) as gateway:
        await gateway.register(accepting)
        running = await gateway.create(timeout=500)
        await accepting.next_job()
        delayed = await gateway.create(delayMs=500, timeout=500)
    with structlog.testing.capture_logs() as logs:
        async with machine(tmp_path, -HOUR_MS, restart_grace_ms=0) as gateway:
            assert await gateway.end(running) == ("TIMEOUT", "attempt")
            assert await gateway.end(delayed) == ("TIMEOUT", "attempt")
            store = gateway.running.gateway._store
            for task_id in (running, delayed):
                times = [event.at_ms for event in await store.events(task_id, 0, 100)]
                assert times == sorted(times)
    (told,) = [log for log in logs if log["event"] == "the store is ahead of the machine's clock"]
    assert 3_590 < told["by_s"] <= 3_600


async def test_a_retry_after_the_clock_was_set_back_does_not_wait_for_it(
    tmp_path: Path, backend: Backend
) -> None:
    async with machine(tmp_path) as gateway:
        ended = await gateway.create(type="nobody", queueTimeout=1)
        assert await gateway.end(ended) == ("TIMEOUT", "queue")
    async with machine(tmp_path, -HOUR_MS) as gateway:
        await gateway.call("POST", f"/api/tasks/{ended}/retry")
        assert await gateway.end(ended) == ("TIMEOUT", "queue")
