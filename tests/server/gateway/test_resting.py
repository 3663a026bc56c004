"""Servers that refuse a task rest, and what ends that: a whole gateway, real backends."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import web

from tests.backends import SUCCESS, Backend, Job
from tests.gateways import Running, running_gateway

HOUR_S = 3_600
LONGEST_MS = 60_000


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, rest_longest_ms=LONGEST_MS) as running:
        yield running


async def busy(_job: Job) -> web.StreamResponse:
    return web.Response(status=503, headers={"Retry-After": str(HOUR_S)})


async def rest(gateway: Running, backend: Backend) -> tuple[str, str]:
    """Has a server refuse a task for an hour; returns the ids of both once it rests."""
    backend.answer = busy
    server_id = await gateway.register(backend)
    task = await gateway.create()
    await backend.next_job()
    backend.answer = SUCCESS
    await gateway.eventually(
        f"/api/servers/{server_id}", lambda server: server["status"] == "resting"
    )
    return server_id, task["id"]


async def test_a_server_that_refuses_rests_and_says_so_and_until_when(
    gateway: Running, backend: Backend
) -> None:
    server_id, task_id = await rest(gateway, backend)
    _, server = await gateway.call("GET", f"/api/servers/{server_id}")
    _, listed = await gateway.call("GET", "/api/servers")
    assert [each["status"] for each in listed["servers"]] == ["resting"]
    assert server["breaker"] == "CLOSED"
    until_ms = datetime.fromisoformat(server["retryAt"]).timestamp() * 1_000
    assert 0 < until_ms - gateway.gateway._clock.now_ms() <= LONGEST_MS
    _, found = await gateway.call("GET", f"/api/tasks/{task_id}/explain")
    assert [each["rule"] for each in found["servers"]] == ["RESTING"]
    assert "registers or is resumed" in found["servers"][0]["remedy"]


async def test_a_registration_ends_a_rest_and_what_waits_starts_at_once(
    gateway: Running, backend: Backend
) -> None:
    server_id, task_id = await rest(gateway, backend)
    assert await gateway.register(backend) == server_id
    assert (await gateway.task(task_id, wait_s=10))["status"] == "COMPLETED"


async def test_a_drain_and_a_resume_end_a_rest_and_what_waits_starts_at_once(
    gateway: Running, backend: Backend
) -> None:
    server_id, task_id = await rest(gateway, backend)
    path = f"/api/servers/{server_id}"
    _, drained = await gateway.call("POST", f"{path}/drain")
    _, resumed = await gateway.call("POST", f"{path}/resume")
    assert (drained["status"], resumed["status"]) == ("draining", "active")
    assert "retryAt" not in resumed
    assert (await gateway.task(task_id, wait_s=10))["status"] == "COMPLETED"


async def test_a_heartbeat_does_not_end_a_rest(gateway: Running, backend: Backend) -> None:
    server_id, task_id = await rest(gateway, backend)
    status, said = await gateway.call("POST", f"/api/servers/{server_id}/heartbeat", {})
    assert (status, said["status"]) == (200, "resting")
    assert (await gateway.task(task_id))["status"] == "PENDING"


async def test_a_rest_ends_when_its_longest_time_is_over_whatever_was_asked_for(
    tmp_path: Path, backend: Backend
) -> None:
    async with running_gateway(tmp_path, rest_longest_ms=100) as gateway:
        backend.answer = busy
        await gateway.register(backend)
        task = await gateway.create()
        await backend.next_job()
        backend.answer = SUCCESS
        assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"
