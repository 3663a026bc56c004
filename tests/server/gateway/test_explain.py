"""Why a task does not run, for each of the reasons there are, through a real gateway."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends import ACCEPTED, Backend, running_backend, say
from tests.gateways import Running, running_gateway


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(ACCEPTED) as backend:
        yield backend


async def explain(gateway: Running, task: dict[str, Any]) -> dict[str, Any]:
    status, body = await gateway.call("GET", f"/api/tasks/{task['id']}/explain")
    assert status == 200, body
    assert body["id"] == task["id"]
    return dict(body)


def rules(explanation: dict[str, Any]) -> list[str]:
    return [server["rule"] for server in explanation["servers"]]


async def test_no_server_is_registered(gateway: Running) -> None:
    found = await explain(gateway, await gateway.create())
    assert (found["reason"], found["servers"]) == ("NO_SERVER", [])
    assert found["remedy"] == "register a server with: echo"


async def test_no_server_is_capable(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    found = await explain(gateway, await gateway.create(capabilities=["gpu"]))
    assert (found["reason"], rules(found)) == ("NO_SERVER", ["NOT_CAPABLE"])
    assert found["servers"][0]["text"] == "it does not have: gpu"


async def test_all_are_full(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend, maxConcurrent=1)
    running = await gateway.create()
    await backend.next_job()
    found = await explain(gateway, await gateway.create())
    assert (found["reason"], rules(found)) == ("NO_FREE_SERVER", ["FULL"])
    assert found["servers"][0]["text"] == "its only slot is taken"
    assert found["queuePosition"] == 1
    assert (await explain(gateway, running))["reason"] == "RUNNING"


async def test_more_wait_than_the_gateway_keeps_in_view(tmp_path: Path, backend: Backend) -> None:
    async with running_gateway(tmp_path, queue_window=8) as gateway:
        await gateway.register(backend, maxConcurrent=1)
        await gateway.create()
        waiting = [await gateway.create() for _ in range(20)]
        found = await explain(gateway, waiting[-1])
        # An eighth of the window is kept for who comes.
        assert (found["reason"], found["queuePositionAtLeast"]) == ("BEHIND_OTHERS", True)
        assert found["queuePosition"] in {8, 9}
        assert found["text"].startswith("at least ")
        assert "more tasks wait than the gateway keeps in view" in found["text"]
        assert (await gateway.task(waiting[-1]["id"]))["queuePositionAtLeast"] is True
        first = await explain(gateway, waiting[0])
        assert "queuePositionAtLeast" not in first


async def test_others_go_first(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend, maxConcurrent=1)
    for _ in range(3):
        await gateway.create()
    found = await explain(gateway, await gateway.create())
    assert (found["reason"], found["queuePosition"]) == ("BEHIND_OTHERS", 3)
    assert found["text"] == "2 tasks go first; of 1 capable server 1 full"


async def test_all_are_draining(gateway: Running, backend: Backend) -> None:
    server_id = await gateway.register(backend)
    await gateway.call("POST", f"/api/servers/{server_id}/drain")
    found = await explain(gateway, await gateway.create())
    assert (found["reason"], rules(found)) == ("NO_FREE_SERVER", ["DRAINING"])
    assert found["servers"][0]["remedy"] == "resume it"


async def test_who_creates_a_task_that_no_server_can_take_now_is_told_what_shows_why(
    gateway: Running, backend: Backend
) -> None:
    server_id = await gateway.register(backend)
    await gateway.call("POST", f"/api/servers/{server_id}/drain")
    found = await explain(gateway, await gateway.create())
    assert found["remedy"] == "register another, or see what each server says (inferry explain)"


async def test_a_breaker_is_open(tmp_path: Path) -> None:
    # No probe comes in between that would let a trial through.
    async with running_gateway(tmp_path, probe_interval_ms=3_600_000) as gateway:
        await gateway.register(Backend(url="http://127.0.0.1:1"))
        task = await gateway.create()
        # It opens when the third call has failed; the task waits again a commit later.
        found = await gateway.eventually(
            f"/api/tasks/{task['id']}/explain",
            lambda body: rules(body) == ["BREAKER_OPEN"] and body["reason"] != "RUNNING",
        )
        assert found["reason"] == "NO_FREE_SERVER"
        assert "3 connections in a row failed" in found["servers"][0]["text"]
        assert "until" in found["servers"][0]


async def test_a_server_asked_to_be_left_alone(gateway: Running, backend: Backend) -> None:
    backend.answer = say({"error": "busy"}, 429)
    await gateway.register(backend)
    task = await gateway.create()
    await backend.next_job()
    found = await gateway.eventually(
        f"/api/tasks/{task['id']}/explain", lambda body: body["reason"] == "NO_FREE_SERVER"
    )
    assert rules(found) == ["RESTING"]


async def test_it_is_delayed(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    found = await explain(gateway, await gateway.create(delayMs=60_000))
    assert found["reason"] == "DELAYED"
    assert "its creator asked for it" in found["text"]
    assert "queuePosition" not in found


async def test_its_type_is_paused(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    await gateway.call("POST", "/api/queue/pause", {"type": "echo", "reason": "new model"})
    found = await explain(gateway, await gateway.create())
    assert (found["reason"], found["remedy"]) == ("PAUSED", "resume the type (inferry unpause)")
    assert found["text"] == "the type 'echo' is paused: new model"


async def test_it_has_ended(gateway: Running, backend: Backend) -> None:
    backend.answer = say({"status": "error", "error": "no paint"})
    await gateway.register(backend)
    found = await explain(gateway, await gateway.create(**{"async": False}))
    assert (found["reason"], found["status"]) == ("ENDED", "FAILED")
    assert (found["text"], found["remedy"]) == ("it ended as FAILED: no paint", "retry it")
    assert found["servers"] == []
