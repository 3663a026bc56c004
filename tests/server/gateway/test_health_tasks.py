"""What becomes of tasks when their servers die, fail and come back: against a whole gateway."""

import asyncio
from collections.abc import AsyncIterator
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from inferry.server.store.operations import DropServer
from inferry.v1 import server_pb2
from inferry.v1.server_service_pb2 import HeartbeatRequest
from tests.backends import ACCEPTED, Job, running_backend, say
from tests.gateways import Running, running_gateway, token

#: Short enough that nobody waits for it.
LEASE_MS = 500


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(
        tmp_path, lease_ms=LEASE_MS, probe_interval_ms=100, breaker_open_ms=50
    ) as running:
        yield running


async def verdict(gateway: Running, task: dict[str, Any]) -> dict[str, Any]:
    """Asks what the only server makes of a task."""
    status, found = await gateway.call("GET", f"/api/tasks/{task['id']}/explain")
    assert status == 200, found
    (said,) = found["servers"]
    return dict(said)


async def test_tasks_of_a_server_that_dies_go_by_the_rules(gateway: Running) -> None:
    async with running_backend(ACCEPTED) as other:
        async with running_backend(ACCEPTED) as dying:
            first = await gateway.register(dying, name="first")
            tasks = [await gateway.create(idempotent=idempotent) for idempotent in (True, False)]
            jobs = [await dying.next_job() for _ in tasks]
            second = await gateway.register(other, name="second")
        again = await other.next_job()
        assert (again["id"], again["attempt"]) == (tasks[0]["id"], 2)
        lost = await gateway.task(tasks[1]["id"], wait_s=10)
        assert (lost["status"], lost["details"]["reason"]) == ("FAILED", "lost")
        assert lost["details"]["serverId"] == first
        assert lost["error"].startswith("the server is gone: no connection")
        for job in jobs:
            assert (await dying.report(job, status="COMPLETED"))[0] == 409
        await other.report(again, status="COMPLETED", result=1)
    done = await gateway.task(tasks[0]["id"])
    assert (done["status"], done["serverId"]) == ("COMPLETED", second)
    _, history = await gateway.call("GET", f"/api/tasks/{tasks[0]['id']}/attempts")
    assert [attempt["outcome"] for attempt in history["attempts"]] == ["LOST", "SUCCEEDED"]


async def test_a_server_whose_health_checks_fail_keeps_what_it_has(gateway: Running) -> None:
    async with running_backend(ACCEPTED) as backend:
        server_id = await gateway.register(backend)
        task = await gateway.create()
        job = await backend.next_job()
        backend.healthy = False
        path = f"/api/servers/{server_id}"
        await gateway.eventually(path, lambda server: server["status"] == "offline")
        assert (await backend.report(job, status="COMPLETED"))[0] == 200
    assert (await gateway.task(task["id"]))["status"] == "COMPLETED"


async def test_a_heartbeat_of_nonsense_spoils_the_numbers_and_draws_no_tasks(
    tmp_path: Path,
) -> None:
    async with (
        running_gateway(tmp_path, probe_interval_ms=3_600_000) as gateway,
        running_backend() as backend,
    ):
        server_id = await gateway.register(backend)
        await gateway.probed(server_id)
        load = server_pb2.Load(cpu=nan, memory=inf, active_tasks=-3, queue_length=-1_000)
        request = HeartbeatRequest(id=server_id, load=load)
        await gateway.servers.Heartbeat(request, metadata=[("authorization", f"Bearer {token()}")])
        _, server = await gateway.call("GET", f"/api/servers/{server_id}")
    wanted = {"cpu": 0, "memory": 2**31 - 1, "activeTasks": 0, "queueLength": 0}
    assert server["load"] == wanted


async def test_when_all_servers_are_bad_tasks_wait_and_the_first_good_probe_brings_them_back(
    gateway: Running,
) -> None:
    async with running_backend() as backend:
        backend.healthy = False
        server_id = await gateway.register(backend)
        path = f"/api/servers/{server_id}"
        await gateway.eventually(path, lambda server: server["status"] == "offline")
        task = await gateway.create()
        said = await verdict(gateway, task)
        assert said["rule"] == "OFFLINE"
        assert said["text"].endswith("the health check said 'unhealthy', not \"healthy\"")
        backend.healthy = True
        assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"


async def test_a_breaker_holds_tasks_back_lets_one_through_on_trial_and_then_all(
    gateway: Running,
) -> None:
    opened = asyncio.Event()

    async def when_opened(_job: Job) -> web.StreamResponse:
        await opened.wait()
        return web.json_response({"status": "success"})

    async with running_backend(say(b"", 502)) as backend:
        path = f"/api/servers/{await gateway.register(backend)}"
        for task in [await gateway.create() for _ in range(5)]:
            assert (await gateway.task(task["id"], wait_s=10))["status"] == "FAILED"
            await backend.next_job()
        backend.answer = when_opened
        tasks = [await gateway.create() for _ in range(4)]
        trial = await backend.next_job()
        server = await gateway.eventually(path, lambda server: server["breaker"] == "HALF_OPEN")
        assert server["active"] == 1
        waiting = next(task for task in tasks if task["id"] != trial["id"])
        said = await verdict(gateway, waiting)
        assert said["rule"] == "BREAKER_OPEN"
        assert said["text"] == "5 of its last 5 calls failed; one task is on trial now"
        opened.set()
        for task in tasks:
            assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"
        await gateway.eventually(path, lambda server: server["breaker"] == "CLOSED")


async def test_a_task_for_a_server_that_cannot_be_reached_waits_and_says_why(
    tmp_path: Path,
) -> None:
    async with running_backend() as gone:
        pass
    async with running_gateway(tmp_path, breaker_open_ms=60_000) as gateway:
        path = f"/api/servers/{await gateway.register(gone)}"
        task = await gateway.create()
        server = await gateway.eventually(path, lambda server: server["breaker"] == "OPEN")
        said = await verdict(gateway, task)
        assert said["rule"] == "BREAKER_OPEN"
        assert said["text"].startswith("3 connections in a row failed; it is tried again in ")
        assert said["until"] == server["retryAt"]
        waiting = await gateway.task(task["id"])
        assert (waiting["status"], waiting["attempt"]) == ("PENDING", 3)


async def test_a_server_that_is_gone_for_long_is_forgotten_and_may_come_back_as_a_new_one(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {"probe_interval_ms": 100, "lease_ms": LEASE_MS}
    async with (
        running_gateway(tmp_path, forget_after_ms=1_000, **settings) as gateway,
        running_backend() as there,
    ):
        async with running_backend() as gone:
            paths = [
                f"/api/servers/{await gateway.register(backend, name=name)}"
                for name, backend in (("gone", gone), ("there", there))
            ]
            await gateway.probed(*(path.rpartition("/")[2] for path in paths))
        await gateway.eventually(paths[0], lambda server: server.get("code") == "NOT_FOUND")
        assert (await gateway.call("GET", paths[1]))[1]["status"] == "active"
    async with running_gateway(tmp_path, **settings) as gateway, running_backend() as back:
        _, listed = await gateway.call("GET", "/api/servers")
        assert [server["name"] for server in listed["servers"]] == ["there"]
        assert f"/api/servers/{await gateway.register(back, name='gone')}" not in paths


async def test_a_server_that_is_taken_out_may_finish_what_it_has(gateway: Running) -> None:
    async with running_backend(ACCEPTED) as backend:
        server_id = await gateway.register(backend)
        task = await gateway.create()
        job = await backend.next_job()
        leaving = asyncio.create_task(gateway.call("DELETE", f"/api/servers/{server_id}"))
        path = f"/api/servers/{server_id}"
        await gateway.eventually(path, lambda server: server["status"] == "draining")
        await backend.report(job, status="COMPLETED")
        assert await leaving == (200, {})
    assert (await gateway.task(task["id"]))["status"] == "COMPLETED"
    assert (await gateway.call("GET", path))[0] == 404
    status, refused = await gateway.call("DELETE", f"{path}?grace=600001")
    assert (status, refused["code"]) == (400, "INVALID_PAYLOAD")


async def test_attempts_of_a_server_that_is_unknown_after_a_restart_are_lost(
    tmp_path: Path,
) -> None:
    async with running_backend(ACCEPTED) as backend:
        async with running_gateway(tmp_path) as gateway:
            server_id = await gateway.register(backend)
            task = await gateway.create()
            await backend.next_job()
            await forget(gateway, server_id)
        async with running_gateway(tmp_path) as gateway:
            lost = await gateway.task(task["id"])
    assert (lost["status"], lost["details"]["reason"]) == ("FAILED", "lost")


async def forget(gateway: Running, server_id: str) -> None:
    """Does what a gateway did that stopped in the middle of taking a server out."""
    await gateway.gateway._committer.do(DropServer(server_id), lambda _: None)


@pytest.mark.parametrize(("sync_timeout_ms", "state"), [(30_000, "CLOSED"), (100, "OPEN")])
async def test_only_a_call_that_had_time_enough_tells_that_a_server_does_not_answer(
    tmp_path: Path, sync_timeout_ms: int, state: str
) -> None:
    async def hang(_job: Job) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    settings: dict[str, Any] = {
        "probe_interval_ms": 60_000,
        "grace_ms": 0,
        "breaker_open_ms": 60_000,
    }
    async with (
        running_gateway(tmp_path, sync_timeout_ms=sync_timeout_ms, **settings) as gateway,
        running_backend(hang) as backend,
    ):
        server_id = await gateway.register(backend)
        tasks = [gateway.create(timeout=150, **{"async": False}) for _ in range(6)]
        assert {task["status"] for task in await asyncio.gather(*tasks)} == {"TIMEOUT"}
        server = await gateway.eventually(
            f"/api/servers/{server_id}", lambda server: server["active"] == 0
        )
        assert server["breaker"] == state
