"""What REST adds to the guide, against a real gateway over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.backends import ACCEPTED, Backend
from tests.gateways import Running, running_gateway, token


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, queue_limit_per_tenant=2) as running:
        yield running


async def create(
    gateway: Running, key: str = "", **said: object
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Creates a task with a key; returns status, body and headers."""
    headers = {"Authorization": f"Bearer {token()}"}
    if key:
        headers["Idempotency-Key"] = key
    async with gateway.http.post(
        f"{gateway.url}/api/tasks", json={"type": "echo", **said}, headers=headers
    ) as response:
        return response.status, await response.json(), dict(response.headers)


async def test_the_same_creation_twice_is_one_task(gateway: Running) -> None:
    status, first, headers = await create(gateway, "order-7", payload={"a": 1, "b": [2.0]})
    assert (status, "Idempotency-Replayed" in headers) == (202, False)
    status, again, headers = await create(gateway, "order-7", payload={"b": [2.0], "a": 1})
    assert (status, headers["Idempotency-Replayed"]) == (202, "true")
    assert (again["id"], headers["Location"]) == (first["id"], f"/api/tasks/{first['id']}")
    status, refusal, _ = await create(gateway, "order-7", payload={"a": 2})
    assert (status, refusal["code"]) == (422, "REQUEST_ID_REUSED")
    assert refusal["details"] == {"taskId": first["id"]}


async def test_a_creation_that_waits_is_replayed_with_the_result(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    said: dict[str, Any] = {"async": False, "payload": {}}
    _, first, _ = await create(gateway, "order-7", **said)
    status, again, headers = await create(gateway, "order-7", **said)
    assert (status, headers["Idempotency-Replayed"]) == (200, "true")
    assert (again["id"], again["result"]) == (first["id"], {"done": True})
    assert len(backend.history) == 1


async def test_a_queue_that_is_full_says_when_to_come_back(gateway: Running) -> None:
    for _ in range(2):
        assert (await create(gateway))[0] == 202
    status, refusal, headers = await create(gateway, "order-7")
    assert (status, refusal["code"]) == (429, "RESOURCE_LIMIT")
    assert int(headers["Retry-After"]) >= 1
    listed = (await gateway.call("GET", "/api/tasks"))[1]["tasks"]
    await gateway.call("DELETE", f"/api/tasks/{listed[0]['id']}")
    status, _, headers = await create(gateway, "order-7")
    assert (status, "Idempotency-Replayed" in headers) == (202, False)


async def test_a_callback_may_ask_for_more_time(gateway: Running, backend: Backend) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    await gateway.create()
    job = await backend.next_job()
    status, body = await backend.report(job, status="PROCESSING", extend_ms=60_000)
    assert (status, body["status"]) == (200, "PROCESSING")
    assert "notes" not in body
    status, body = await backend.report(job, status="PROCESSING", extend_ms="soon")
    assert (status, body["notes"]) == (200, ['extend_ms "soon" is no number of milliseconds'])


async def test_a_place_in_the_queue_comes_between_the_events(gateway: Running) -> None:
    await gateway.create()
    task_id = (await gateway.create())["id"]
    path = f"{gateway.url}/api/tasks/{task_id}/events"
    headers = {"Authorization": f"Bearer {token()}"}
    async with gateway.http.get(path, headers=headers) as response:
        created = await response.content.readuntil(b"\n\n")
        queued = await response.content.readuntil(b"\n\n")
        await gateway.call("DELETE", f"/api/tasks/{task_id}")
        *_, finished = (await response.text()).removesuffix("\n\n").split("\n\n")
    assert created.startswith(b"id: 1\nevent: created\n")
    assert queued.startswith(b"event: queued\n")
    plain = orjson.loads(queued.partition(b"data: ")[2])
    assert (plain["seq"], plain["queuePosition"]) == (1, 2)
    assert finished.startswith("id: 2\nevent: finished\n")
