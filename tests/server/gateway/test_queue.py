"""The queue of a whole gateway: turns, priority, pauses, limits."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferry.server.access.tokens import Role
from tests.backends import Backend
from tests.gateways import Running, ShiftedClock, running_gateway, token


async def create(gateway: Running, tenant: str, **more: object) -> str:
    auth = token(Role.CLIENT, tenant=tenant)
    status, task = await gateway.call("POST", "/api/tasks", {"type": "echo", **more}, auth=auth)
    assert status == 202, task
    return str(task["id"])


async def started(backend: Backend, count: int) -> list[str]:
    """Waits for dispatches; returns the ids of their tasks in order."""
    return [str((await backend.next_job())["id"]) for _ in range(count)]


@pytest.mark.parametrize(("weights", "turns"), [({}, 2), ({"small": 3}, 4 / 3)])
async def test_ten_tasks_start_within_their_share_though_a_thousand_of_another_tenant_wait(
    tmp_path: Path, backend: Backend, weights: dict[str, float], turns: float
) -> None:
    slots = 4
    async with running_gateway(tmp_path, tenant_weights=weights) as gateway:
        for _ in range(10):
            await asyncio.gather(*(create(gateway, "large") for _ in range(100)))
        small = [await create(gateway, "small") for _ in range(10)]
        await gateway.register(backend, maxConcurrent=slots)
        order = await started(backend, round(10 * turns) + slots)
    positions = [order.index(task_id) + 1 for task_id in small]
    numbers = [f"{number:>4}" for number in range(1, 11)]
    sys.stdout.write(f"weights {weights}, {slots} slots, behind 1,000 of another tenant\n")
    sys.stdout.write(f"task     {''.join(numbers)}\n")
    sys.stdout.write(f"started  {''.join(f'{position:>4}' for position in positions)}\n")
    # Calls of different slots may overtake each other.
    for number, position in enumerate(positions, start=1):
        assert position <= number * turns + slots


async def test_priority_goes_before_age_and_age_before_nothing(
    tmp_path: Path, backend: Backend
) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        low = await create(gateway, "acme", priority=0, queueTimeout=3_600_000)
        clock.shift_ms = 5 * 60_000
        middle = [await create(gateway, "acme", priority=priority) for priority in (4, 5)]
        high = await create(gateway, "acme", priority=9)
        await gateway.register(backend, maxConcurrent=1)
        # It has risen to 5 by now, and is older than the other one of 5.
        assert await started(backend, 4) == [high, low, middle[1], middle[0]]


async def test_a_paused_type_waits_over_a_restart_until_it_is_resumed(
    tmp_path: Path, backend: Backend
) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.register(backend, capabilities=[])
        said = {"type": "echo", "reason": "a bad model"}
        status, queue = await gateway.call("POST", "/api/queue/pause", said)
        assert (status, queue["paused"], queue["pauseReason"]) == (200, True, "a bad model")
        held = await create(gateway, "acme")
        await create(gateway, "acme", type="ocr")
        assert (await backend.next_job())["type"] == "ocr"
    async with running_gateway(tmp_path) as gateway:
        _, queue = await gateway.call("GET", "/api/queue")
        (only,) = queue["types"]
        assert (queue["waiting"], only["type"], only["waiting"], only["paused"]) == (
            1,
            "echo",
            1,
            True,
        )
        task = await gateway.task(held)
        assert task["status"] == "PENDING"
        assert "queuePosition" not in task
        assert len(backend.history) == 1
        status, queue = await gateway.call("POST", "/api/queue/resume", {"type": "echo"})
        assert (status, queue.get("paused", False)) == (200, False)
        assert await started(backend, 1) == [held]
        assert (await gateway.task(held, wait_s=10))["status"] == "COMPLETED"


async def test_a_paused_task_does_not_expire_in_the_queue(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        await gateway.call("POST", "/api/queue/pause", {"type": "echo"})
        held = await create(gateway, "acme", queueTimeout=1_000)
        other = await create(gateway, "acme", queueTimeout=1_000, type="ocr")
        clock.shift_ms = 60_000
        assert (await gateway.task(other, wait_s=10))["status"] == "TIMEOUT"
        path = f"/api/tasks/{held}"
        task = await gateway.eventually(path, lambda task: task["updatedAt"] > task["createdAt"])
        assert task["status"] == "PENDING"


async def test_the_queue_is_for_operators(gateway: Running) -> None:
    for auth in (token(Role.CLIENT), token(Role.BACKEND)):
        assert (await gateway.call("GET", "/api/queue", auth=auth))[0] == 403
        for path in ("/api/queue/pause", "/api/queue/resume"):
            assert (await gateway.call("POST", path, {"type": "echo"}, auth=auth))[0] == 403


@pytest.mark.parametrize(
    "said", [{}, {"type": "no such thing"}, {"type": "a", "reason": "x" * 256}]
)
async def test_what_is_wrong_with_a_pause_is_said(gateway: Running, said: dict[str, str]) -> None:
    status, body = await gateway.call("POST", "/api/queue/pause", said)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def test_resuming_what_is_not_paused_is_no_error(gateway: Running) -> None:
    status, queue = await gateway.call("POST", "/api/queue/resume", {"type": "echo"})
    assert (status, queue["type"]) == (200, "echo")


async def test_the_queue_is_shown_by_type(gateway: Running, backend: Backend) -> None:
    _, first = await gateway.call("GET", f"/api/tasks/{await create(gateway, 'acme')}")
    await create(gateway, "globex")
    await create(gateway, "acme", delayMs=60_000)
    await create(gateway, "acme", type="ocr", delayMs=60_000)
    _, queue = await gateway.call("GET", "/api/queue")
    assert (queue["waiting"], queue["limit"]) == (4, 10_000)
    shown = [(one["type"], one.get("waiting", 0), one.get("delayed", 0)) for one in queue["types"]]
    assert shown == [("echo", 2, 1), ("ocr", 0, 1)]
    tenants = [
        [(s["tenant"], s["waiting"], s["turns"]) for s in one["tenants"]] for one in queue["types"]
    ]
    assert tenants == [[("acme", 2, 1), ("globex", 1, 1)], [("acme", 1, 1)]]
    oldest = [one.get("oldestAt") for one in queue["types"]]
    assert oldest == [first["createdAt"], None]
    await gateway.register(backend)
    await started(backend, 2)
    _, queue = await gateway.call("GET", "/api/queue")
    assert (queue["waiting"], queue["leftLastMinute"]) == (2, 2)


async def test_a_waiting_task_knows_its_place(gateway: Running, backend: Backend) -> None:
    tasks = [await create(gateway, tenant) for tenant in ("acme", "acme", "acme", "globex")]
    places = [(await gateway.task(task_id))["queuePosition"] for task_id in tasks]
    assert places == [1, 3, 4, 2]
    await gateway.register(backend)
    done = await gateway.task(tasks[0], wait_s=10)
    assert "queuePosition" not in done


async def test_more_may_wait_than_memory_holds_and_all_of_it_runs_in_order_after_a_restart(
    tmp_path: Path, backend: Backend
) -> None:
    async with running_gateway(tmp_path, queue_window=8) as gateway:
        tasks = [await create(gateway, "acme") for _ in range(40)]
        await create(gateway, "acme", delayMs=60_000)
        _, queue = await gateway.call("GET", "/api/queue")
        (echo,) = queue["types"]
        assert (queue["waiting"], echo["waiting"], echo["delayed"]) == (41, 40, 1)
    async with running_gateway(tmp_path, queue_window=8) as gateway:
        tasks += [await create(gateway, "acme") for _ in range(10)]
        await gateway.register(backend, maxConcurrent=1)
        assert await started(backend, 50) == tasks


async def refused(gateway: Running) -> tuple[dict[str, Any], int]:
    """Creates a task that finds no room; returns the body and Retry-After."""
    async with gateway.http.post(
        f"{gateway.url}/api/tasks",
        json={"type": "echo"},
        headers={"Authorization": f"Bearer {token()}"},
        timeout=aiohttp.ClientTimeout(20),
    ) as response:
        assert response.status == 429
        return await response.json(), int(response.headers["Retry-After"])


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, queue_limit_per_tenant=20) as gateway:
        tasks = [await create(gateway, "acme") for _ in range(20)]
        body, wait_s = await refused(gateway)
        assert (body["code"], body["details"]["limit"]) == ("RESOURCE_LIMIT", 20)
        # Nothing drains.
        assert wait_s == 60
        for task_id in tasks[:10]:
            await gateway.call("DELETE", f"/api/tasks/{task_id}")
            await create(gateway, "acme")
        _, wait_s = await refused(gateway)
        assert 1 <= wait_s < 60
        await create(gateway, "globex")


async def test_a_burst_does_not_overrun_the_limit(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, queue_limit=50) as gateway:
        answers = await asyncio.gather(
            *(gateway.call("POST", "/api/tasks", {"type": "echo"}) for _ in range(80))
        )
        assert sorted(status for status, _ in answers) == [202] * 50 + [429] * 30
