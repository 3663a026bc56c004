"""A gateway that is stopped in order (SIGTERM), and started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from tests.backends import ACCEPTED, Job, running_backend
from tests.crash.gateways import Gateways
from tests.crash.load import under_load
from tests.processes import GatewayProcess, start_gateway

RESTARTS = 3
SEED = 7
#: What an operator is promised.
STOPS_WITHIN_S = 25


@asynccontextmanager
async def calling(gateway: GatewayProcess) -> AsyncIterator[aiohttp.ClientSession]:
    """Opens what calls a gateway as an admin."""
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with aiohttp.ClientSession(gateway.rest, headers=headers) as http:
        yield http


async def answer(call: Any, status: int) -> dict[str, Any]:
    """Awaits an answer of that status."""
    async with call as response:
        assert response.status == status, await response.text()
        return dict(await response.json())


async def stop(gateway: GatewayProcess) -> int:
    async with asyncio.timeout(STOPS_WITHIN_S):
        return await gateway.stop()


async def test_a_restart_under_load_fails_no_call_and_loses_nothing(tmp_path: Path) -> None:
    random = Random(SEED)
    gateway = await start_gateway(tmp_path)
    done_all_the_same: list[Any] = []
    try:
        async with under_load(Gateways([gateway]), random, timeout_ms=300_000) as load:
            for _ in range(RESTARTS):
                await asyncio.sleep(random.uniform(0.1, 0.5))
                load.open_gates()
                assert await stop(gateway) == 0
                await gateway.restart()
            verdict = await load.settle()
            async with calling(gateway) as http:
                for number in load.history.unanswered:
                    path = f"/api/tasks?labels.number={number}"
                    done_all_the_same += (await answer(http.get(path), 200))["tasks"]
    finally:
        await gateway.stop()
    # Who called at the very end is told that there is no gateway any more, and nothing was done:
    # over REST whoever was about to write on a connection that had just been closed.
    at_the_end = ("CreateTask: ", "POST /api/tasks: ClientOSError(None, 'Can not write request")
    assert not [one for one in load.history.broken if not one.startswith(at_the_end)]
    assert not done_all_the_same
    assert not verdict.violations, "\n".join(verdict.violations)
    assert "TIMEOUT" not in verdict.ends


async def test_who_waits_for_the_end_of_a_task_is_told_how_it_stands(
    gateway_process: GatewayProcess,
) -> None:
    async with running_backend(ACCEPTED) as backend, calling(gateway_process) as http:
        server = {"url": backend.url, "name": "backend"}
        await answer(http.post("/api/servers/register", json=server), 200)
        task = await answer(http.post("/api/tasks", json={"type": "echo"}), 202)
        await backend.next_job()
        reading = asyncio.create_task(answer(http.get(f"/api/tasks/{task['id']}?wait=60"), 200))
        patient = {"Prefer": "wait=60"}
        made = http.post("/api/tasks", json={"type": "echo"}, headers=patient)
        creating = asyncio.create_task(answer(made, 202))
        await backend.next_job()
        assert await stop(gateway_process) == 0
        assert (await reading)["id"] == task["id"]
        assert (await creating)["id"] != task["id"]


async def test_a_server_that_never_answers_does_not_hold_the_stop_up(
    gateway_process: GatewayProcess,
) -> None:
    never = asyncio.Event()

    async def hang(_job: Job) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    async with running_backend(hang) as backend:
        calls, jobs = [], {}
        async with calling(gateway_process) as http:
            server = {"url": backend.url, "name": "backend"}
            await answer(http.post("/api/servers/register", json=server), 200)
            for idempotent in (True, False):
                body = {"type": "echo", "async": False, "idempotent": idempotent}
                calls.append(asyncio.create_task(answer(http.post("/api/tasks", json=body), 503)))
                jobs[idempotent] = await backend.next_job()
            assert await stop(gateway_process) == 0
            for call, idempotent in zip(calls, jobs, strict=True):
                assert (await call)["details"] == {"taskId": jobs[idempotent]["id"]}
        await gateway_process.restart()
        async with calling(gateway_process) as http:
            again = await backend.next_job()
            assert (again["id"], again["attempt"]) == (jobs[True]["id"], 2)
            await answer(http.delete(f"/api/tasks/{again['id']}"), 200)
            failed = await answer(http.get(f"/api/tasks/{jobs[False]['id']}"), 200)
    assert (failed["status"], failed["details"]["reason"]) == ("FAILED", "ambiguous")
    assert len(backend.history) == 3
