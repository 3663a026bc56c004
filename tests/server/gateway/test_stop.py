"""A task that is stopped stops at its server, too, and keeps the slot until that is known."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from inferry.server.outbound.client import Answer
from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import Running, running_gateway

NEVER_MS = 600_000


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(ACCEPTED) as backend:
        yield backend


async def started(gateway: Running, backend: Backend, **more: object) -> tuple[str, dict[str, str]]:
    server_id = await gateway.register(backend, maxConcurrent=1)
    await gateway.create(**more)
    return server_id, await backend.next_job()


async def active(gateway: Running, server_id: str) -> int:
    _, server = await gateway.call("GET", f"/api/servers/{server_id}")
    return int(server["active"])


async def until_idle(gateway: Running, server_id: str) -> None:
    await gateway.eventually(f"/api/servers/{server_id}", lambda server: server["active"] == 0)


async def test_a_cancel_reaches_the_server_and_its_answer_frees_the_slot(
    backend: Backend, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
        await until_idle(gateway, server_id)


async def test_a_timeout_reaches_the_server_as_a_cancel_does(
    backend: Backend, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS, grace_ms=0) as gateway:
        server_id, job = await started(gateway, backend, timeout=200)
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
        await until_idle(gateway, server_id)
        assert (await gateway.task(job["id"]))["status"] == "TIMEOUT"


async def test_without_the_endpoint_the_next_callback_frees_the_slot(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cancel_status = 404
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await backend.next_cancel()
        assert await active(gateway, server_id) == 1
        _, body = await backend.report(job, status="PROCESSING", progress=10)
        assert body["cancelled"] is True
        await until_idle(gateway, server_id)
        # It is not asked again.
        await gateway.create()
        job = await backend.next_job()
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await backend.report(job, status="PROCESSING")
        await until_idle(gateway, server_id)
        assert backend.cancels.empty()


async def test_a_server_that_confirms_nothing_gets_its_slot_back_after_the_grace(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cancel_status = 404
    async with running_gateway(tmp_path, cancel_grace_ms=50) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await until_idle(gateway, server_id)


async def test_a_server_that_stumbles_over_a_cancel_is_asked_again(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cancel_status = 500
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await backend.next_cancel()
        backend.cancel_status = 204
        await backend.next_cancel()
        await until_idle(gateway, server_id)


async def test_a_cancel_that_breaks_inside_the_gateway_is_tried_again(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        outbound = gateway.gateway._outbound
        send, broken = outbound.post, asyncio.Event()

        async def break_once(*given: Any, **more: Any) -> Answer:
            if broken.is_set():
                return await send(*given, **more)
            broken.set()
            raise ZeroDivisionError

        monkeypatch.setattr(outbound, "post", break_once)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
        assert broken.is_set()
        await until_idle(gateway, server_id)


async def test_a_cancel_by_the_server_itself_needs_no_word_back(
    backend: Backend, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await backend.report(job, status="CANCELLED")
        await until_idle(gateway, server_id)
        assert backend.cancels.empty()


async def test_a_cancelled_and_retried_task_is_stopped_once_and_runs_again(
    backend: Backend, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await gateway.call("POST", f"/api/tasks/{job['id']}/retry")
        again = await backend.next_job()
        assert (again["id"], again["attempt"]) == (job["id"], 2)
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
        await backend.report(again, status="COMPLETED", result=2)
        status, body = await backend.report(job, status="COMPLETED", result=1)
        assert (status, body["code"]) == (409, "STALE_ATTEMPT")
        assert (await gateway.task(job["id"]))["result"] == 2
        await until_idle(gateway, server_id)


@pytest.mark.parametrize("ends", ["cancelled", "timed out"])
async def test_a_slot_that_waits_for_its_server_to_stop_survives_a_restart(
    backend: Backend, tmp_path: Path, ends: str
) -> None:
    backend.cancel_status = 500
    settings: dict[str, Any] = {"cancel_grace_ms": NEVER_MS, "grace_ms": 0}
    async with running_gateway(tmp_path, **settings) as gateway:
        timeout = 200 if ends == "timed out" else 60_000
        _, job = await started(gateway, backend, timeout=timeout)
        next_one = await gateway.create(timeout=60_000)
        if ends == "cancelled":
            await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        await backend.next_cancel()
    while not backend.cancels.empty():
        backend.cancels.get_nowait()
    async with running_gateway(tmp_path, **settings) as gateway:
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
        backend.cancel_status = 200
        assert (await backend.next_job())["id"] == next_one["id"]
        # Not before that was answered.
        assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}


async def test_a_callback_frees_a_slot_that_survived_a_restart(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cancel_status = 404
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        assert await active(gateway, server_id) == 1
        job["callback_url"] = f"{gateway.url}{URL(job['callback_url']).raw_path_qs}"
        _, body = await backend.report(job, status="PROCESSING", progress=10)
        assert body["cancelled"] is True
        await until_idle(gateway, server_id)


async def test_only_the_rest_of_the_grace_is_left_after_a_restart(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cancel_status = 404
    async with running_gateway(tmp_path, cancel_grace_ms=1_000) as gateway:
        server_id, job = await started(gateway, backend)
        await gateway.call("DELETE", f"/api/tasks/{job['id']}")
        ended_ms = gateway.gateway._clock.now_ms()
    async with running_gateway(tmp_path, cancel_grace_ms=1_000) as gateway:
        await until_idle(gateway, server_id)
        assert gateway.gateway._clock.now_ms() - ended_ms >= 900
    async with running_gateway(tmp_path, cancel_grace_ms=1) as gateway:
        assert await active(gateway, server_id) == 0


async def test_a_server_that_said_itself_that_it_stopped_has_its_slot_back_after_a_restart(
    backend: Backend, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        server_id, job = await started(gateway, backend)
        await backend.report(job, status="CANCELLED")
    async with running_gateway(tmp_path, cancel_grace_ms=NEVER_MS) as gateway:
        assert await active(gateway, server_id) == 0
    assert backend.cancels.empty()
