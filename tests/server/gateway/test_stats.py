"""Figures of a whole gateway: seen at once, and the same after it was stopped or killed."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferry.server.access.tokens import Role
from inferry.server.figures.cell import TYPES_LIMIT
from inferry.wire.figures import OTHER
from tests.backends import Backend
from tests.gateways import SECRET, Running, ShiftedClock, running_gateway, token
from tests.processes import start_gateway
from tests.server.replicas.crowd import Crowd, crowd


class Called(Running):
    """A gateway in a process of its own."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url, self.http = url, http


COUNTS = ("created", "completed", "failed", "cancelled")


async def stats(gateway: Running, query: str = "") -> dict[str, Any]:
    status, body = await gateway.call("GET", f"/api/stats{query}")
    assert status == 200, body
    return dict(body)


def sums(body: dict[str, Any]) -> dict[str, int]:
    """Adds up what is known."""
    return {name: sum(n for n in body[name] if n >= 0) for name in COUNTS}


async def until(gateway: Running, query: str, **wanted: int) -> dict[str, Any]:
    def shows(body: dict[str, Any]) -> bool:
        return {name: sums(body)[name] for name in wanted} == wanted

    return await gateway.eventually(f"/api/stats{query}", shows)


@pytest.mark.parametrize("step", [1, 60, 3_600])
async def test_what_happened_is_seen_at_once_at_every_step(
    tmp_path: Path, backend: Backend, step: int
) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.register(backend)
        waits = await gateway.create(type="draw")
        for _ in range(3):
            await gateway.create(**{"async": False})
        await gateway.call("DELETE", f"/api/tasks/{waits['id']}")
        body = await stats(gateway, f"?step={step}&from={waits['createdAt']}")
        assert sums(body) == {"created": 4, "completed": 3, "failed": 0, "cancelled": 1}
        assert body["types"] == ["draw", "echo"]


async def test_columns_are_equally_long_and_tell_what_is_not_known(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.create()
        body = await until(gateway, "?step=60", created=1)
        columns = {len(column) for name, column in body.items() if isinstance(column, list)}
        assert columns - {len(body["types"])} == {len(body["created"])}
        assert len(body["created"]) in {60, 61}
        # Before the first start of all nothing is.
        assert body["created"][0] == body["waiting"][0] == body["waitP50Ms"][0] == -1


async def test_what_waits_is_told_as_it_was_last_looked(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        tasks = [await gateway.create() for _ in range(3)]
        for step in (1, 60):
            query = f"?step={step}&type=echo" + (f"&from={tasks[0]['createdAt']}" * (step == 1))
            body = await gateway.eventually(
                f"/api/stats{query}",
                lambda body: bool(body["waiting"]) and body["waiting"][-1] == 3,
            )
            assert body["running"][-1] == 0
        await gateway.call("POST", "/api/tasks/cancel", {"type": "echo"})
        await gateway.eventually("/api/stats?step=60", lambda body: body["waiting"][-1] == 0)


async def test_quantiles_are_told_of_waits_and_runs(tmp_path: Path, backend: Backend) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.register(backend)
        await gateway.create(**{"async": False})
        body = await until(gateway, "?step=60", completed=1)
        last = {name: max(body[name]) for name in ("waitP50Ms", "waitP99Ms", "runP50Ms")}
        assert all(ms >= 1 for ms in last.values()), last
        assert max(body["runP50Ms"]) <= max(body["runP95Ms"]) <= max(body["runP99Ms"])


async def test_figures_are_the_same_after_a_restart(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for _ in range(7):
            await gateway.create()
        await gateway.call("POST", "/api/tasks/cancel", {"type": "echo", "limit": 2})
    for life in range(3):
        async with running_gateway(tmp_path) as gateway:
            # What was not written in time is counted again from the log, once.
            await until(gateway, "?step=60", created=7 + life, cancelled=2)
            await gateway.create()


async def test_no_kill_loses_or_doubles_what_was_counted(tmp_path: Path) -> None:
    process = await start_gateway(tmp_path, settings={"INFERRY_JWT_SECRET": SECRET})
    async with aiohttp.ClientSession() as http:
        gateway = Called(process.rest, http)
        for life in range(1, 4):
            for _ in range(10):
                await gateway.create()
            await process.kill()
            await process.restart()
            await until(gateway, "?step=60", created=10 * life)
    await process.stop()


async def test_a_type_has_figures_of_its_own_and_the_rest_together(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for number in range(TYPES_LIMIT + 3):
            await gateway.create(type=f"type-{number:02}")
        body = await until(gateway, "?step=60", created=TYPES_LIMIT + 3)
        assert body["types"] == [OTHER, *(f"type-{number:02}" for number in range(TYPES_LIMIT))]
        assert sums(await stats(gateway, "?step=60&type=type-03"))["created"] == 1
        assert sums(await stats(gateway, f"?step=60&type={OTHER}"))["created"] == 3
        unknown = await stats(gateway, f"?step=60&type=type-{TYPES_LIMIT + 1}")
        assert set(unknown["created"]) == {-1}


async def test_what_is_longer_ago_than_a_day_is_told_by_the_hour(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        task = await gateway.create(queueTimeout=86_400_000)
        await until(gateway, "?step=60", created=1)
        clock.shift_ms = 2 * 86_400_000
        await gateway.create()
        begin = f"?from={task['createdAt']}"
        body = await until(gateway, begin, created=2)
        assert body["step"] == 3_600


async def test_only_admins_see_figures(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for role in (Role.CLIENT, Role.BACKEND):
            status, body = await gateway.call("GET", "/api/stats", auth=token(role))
            assert status == 403, body
            assert "GetStats" in body["error"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to: it has to be later than from"),
        ("?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=1", "the limit is 1500"),
        ("?step=-1", "step: -1"),
        ("?step=86401", "step: 86401"),
        ("?type=no%20name", "type: 'no name'"),
        ("?from=yesterday", "from"),
    ],
)
async def test_what_cannot_be_shown_is_refused_with_the_reason(
    tmp_path: Path, query: str, said: str
) -> None:
    async with running_gateway(tmp_path) as gateway:
        status, body = await gateway.call("GET", f"/api/stats{query}")
        assert status == 400, body
        assert said in body["error"]


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


async def test_replicas_add_up_what_each_counted_and_tell_once_what_they_share(
    many: Crowd,
) -> None:
    replicas = [await many.join() for _ in range(2)]
    task = await replicas[0].create()
    creating = (replica.create() for replica in replicas for _ in range(5))
    await asyncio.gather(*islice(creating, 9))
    for replica in replicas:
        body = await until(replica, "?step=60", created=10)
        assert max(body["created"]) <= 10
        body = await replica.eventually("/api/stats?step=60", lambda body: max(body["waiting"]) > 9)
        assert max(body["waiting"]) == 10
        # By the second each shows what all did.
        await until(replica, f"?step=1&from={task['createdAt']}", created=10)


async def test_what_a_replica_left_uncounted_is_counted_by_another(many: Crowd) -> None:
    first, stack = await many.start()
    second = await many.join()
    for _ in range(4):
        await first.create()
    await stack.aclose()
    third = await many.join()
    second.lives.gateway._cases.bookkeeper._recount_due_s = 0
    for replica in (second, third):
        await until(replica, "?step=60", created=4)


async def test_figures_may_begin_when_time_did(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        body = await stats(gateway, "?from=1970-01-01T00:00:00Z&to=1970-01-01T01:00:00Z")
    assert body["from"] == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("query", ["to=0712-01-02T03:29:11Z", "to=0001-01-01T00:00:00Z"])
async def test_what_was_before_clocks_is_the_year_1970(tmp_path: Path, query: str) -> None:
    async with running_gateway(tmp_path) as gateway:
        body = await stats(gateway, f"?{query}")
    assert (body["from"], set(body["created"])) == ("1970-01-01T00:00:00.000Z", {-1})
