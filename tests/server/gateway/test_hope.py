"""Who creates a task that no server takes is told so, and by no word that it is about to start."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import Running, running_gateway
from tests.server.gateway.test_tasks import Gate

NOBODY = "no server is registered; register a server with: echo"


async def seen(gateway: Running, task: dict[str, Any]) -> list[str]:
    """Gives what each of those says who may know: whoever reads the task, and the list."""
    _, listed = await gateway.call("GET", "/api/tasks")
    tasks = [await gateway.task(task["id"]), *listed["tasks"]]
    return [one.get("unserved", "") for one in tasks]


async def test_a_creation_says_that_no_server_takes_it(gateway: Running, backend: Backend) -> None:
    task = await gateway.create()
    assert task["unserved"] == NOBODY
    assert await seen(gateway, task) == [NOBODY, NOBODY]
    await gateway.register(backend, capabilities=["ocr"])
    why = "of 1 server none is capable of echo, gpu; register a server with: echo, gpu"
    assert (await gateway.create(capabilities=["gpu"]))["unserved"] == why


async def test_a_batch_says_of_which_of_its_tasks_no_server_takes_them(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    requests = [{"type": "echo"}, {"type": "ocr"}]
    _, body = await gateway.call("POST", "/api/tasks:batchCreate", {"requests": requests})
    taken, stranded = (one["task"] for one in body["results"])
    assert "unserved" not in taken
    assert stranded["unserved"].startswith("of 1 server none is capable of ocr")


async def test_who_waits_for_a_slot_does_not_wait_in_vain(gateway: Running) -> None:
    async with running_backend(Gate()) as backend:
        await gateway.register(backend, maxConcurrent=1)
        for _ in range(2):
            task = await gateway.create()
            assert "unserved" not in task
        assert await seen(gateway, task) == ["", "", ""]


async def test_a_task_is_unserved_while_its_servers_cannot_take_it(
    gateway: Running, backend: Backend
) -> None:
    server_id = await gateway.register(backend)
    await gateway.call("POST", f"/api/servers/{server_id}/drain")
    task = await gateway.create()
    assert task["unserved"].startswith("of 1 capable server none can take it now: 1 draining")
    await gateway.call("POST", f"/api/servers/{server_id}/resume")
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], "unserved" in done) == ("COMPLETED", False)


async def test_a_creation_of_a_paused_type_says_so(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    await gateway.call("POST", "/api/queue/pause", {"type": "echo", "reason": "a bad model"})
    unserved = (await gateway.create())["unserved"]
    assert unserved == "the type 'echo' is paused: a bad model; resume the type (inferry unpause)"


async def test_a_task_has_no_time_of_its_start_while_no_server_can_be_reached(
    gateway: Running,
) -> None:
    async with running_backend(ACCEPTED) as backend:
        server_id = await gateway.register(backend, maxConcurrent=1)
        await gateway.create()
        started, waits = await gateway.create(), await gateway.create()
        # One that got a slot from the queue tells how fast it moves on.
        await backend.report(await backend.next_job(), status="COMPLETED")
        assert (await backend.next_job())["id"] == started["id"]
        hopes = await gateway.task(waits["id"])
        assert (hopes["queuePosition"], "estimatedStartAt" in hopes) == (1, True)
        await gateway.call("POST", f"/api/servers/{server_id}/drain")
        hopes = await gateway.task(waits["id"])
        assert (hopes["queuePosition"], "estimatedStartAt" in hopes) == (1, False)
        _, explained = await gateway.call("GET", f"/api/tasks/{waits['id']}/explain")
        assert "estimatedStartAt" not in explained


@pytest.mark.parametrize("clock", ["queueTimeout", "totalTimeout"])
async def test_a_task_that_waited_too_long_ends_with_what_held_it_up(
    tmp_path: Path, clock: str
) -> None:
    async with running_gateway(tmp_path) as gateway, running_backend(Gate()) as backend:
        await gateway.register(backend, maxConcurrent=1)
        await gateway.create()
        full, stranded = await asyncio.gather(
            gateway.create(**{clock: 100}), gateway.create(type="ocr", **{clock: 100})
        )
        full = await gateway.task(full["id"], wait_s=10)
        stranded = await gateway.task(stranded["id"], wait_s=10)
    assert (full["status"], stranded["status"]) == ("TIMEOUT", "TIMEOUT")
    assert full["error"].endswith("100 ms: of 1 capable server none can take it now: 1 full")
    assert stranded["error"].endswith("100 ms: of 1 server none is capable of ocr")
