"""Tasks that ended badly are started again, many at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inferry.server.access.tokens import Role
from tests.backends import Backend, running_backend, say
from tests.gateways import Running, running_gateway, token


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(say({"status": "error", "error": "no", "code": "BROKEN"})) as found:
        yield found


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, queue_limit=8) as gateway:
        yield gateway


async def fail(gateway: Running, backend: Backend, count: int) -> list[str]:
    """Makes failed tasks; afterwards no server takes them."""
    server_id = await gateway.register(backend)
    made = [(await gateway.create(**{"async": False}))["id"] for _ in range(count)]
    await gateway.call("POST", f"/api/servers/{server_id}/drain")
    return made


async def retry(gateway: Running, **said: object) -> dict[str, Any]:
    status, body = await gateway.call("POST", "/api/tasks/retry", said)
    assert status == 200, body
    return dict(body)


async def statuses(gateway: Running, ids: list[str]) -> list[str]:
    return [(await gateway.task(task_id))["status"] for task_id in ids]


async def test_failed_tasks_are_started_again(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 3)
    done = await retry(gateway)
    assert (done["retried"], done["queueFull"]) == (3, False)
    assert "nextPageToken" not in done
    assert await statuses(gateway, made) == ["PENDING"] * 3


async def test_a_page_goes_on_where_the_last_one_stopped(
    gateway: Running, backend: Backend
) -> None:
    made = await fail(gateway, backend, 5)
    first = await retry(gateway, limit=2)
    assert await statuses(gateway, made) == ["FAILED"] * 3 + ["PENDING"] * 2
    second = await retry(gateway, limit=10, pageToken=first["nextPageToken"])
    assert (first["retried"], second["retried"]) == (2, 3)


async def test_only_what_matches_is_started_again(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 1)
    for other in ({"code": "ODD"}, {"type": "odd"}, {"status": "TIMEOUT"}, {"serverId": "srv_0"}):
        assert (await retry(gateway, **other))["retried"] == 0
    matching = {"code": "BROKEN", "type": "echo", "status": "FAILED"}
    assert (await retry(gateway, **matching))["retried"] == 1
    assert await statuses(gateway, made) == ["PENDING"]


async def test_it_stops_when_the_queue_is_full_and_nothing_is_lost(
    gateway: Running, backend: Backend
) -> None:
    await fail(gateway, backend, 2)
    waiting = [await gateway.create() for _ in range(8)]
    full = await retry(gateway)
    assert (full["retried"], full["queueFull"]) == (0, True)
    for task in waiting:
        await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    assert (await retry(gateway))["retried"] == 2


async def test_another_tenants_tasks_are_left_alone(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 1)
    other = token(Role.CLIENT, tenant="other")
    _, body = await gateway.call("POST", "/api/tasks/retry", {}, auth=other)
    assert body["retried"] == 0
    assert await statuses(gateway, made) == ["FAILED"]


@pytest.mark.parametrize("said", [{"status": "COMPLETED"}, {"limit": 1_001}, {"limit": -1}])
async def test_what_cannot_be_retried_is_refused(gateway: Running, said: dict[str, Any]) -> None:
    status, body = await gateway.call("POST", "/api/tasks/retry", said)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
