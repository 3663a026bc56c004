"""The four timeouts end a task for real, and say which of them it was."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import Running, running_gateway


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(ACCEPTED) as backend:
        yield backend


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, grace_ms=0) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("phase", "options"),
    [
        ("attempt", {"timeout": 200}),
        ("silence", {"silenceTimeout": 200}),
        ("total", {"totalTimeout": 200}),
    ],
)
async def test_a_running_task_ends_by_its_timeout(
    gateway: Running, backend: Backend, phase: str, options: dict[str, int]
) -> None:
    await gateway.register(backend)
    task = await gateway.create(**options)
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["details"]) == ("TIMEOUT", {"phase": phase})


@pytest.mark.parametrize("phase", ["queue", "total"])
async def test_a_waiting_task_ends_by_its_timeout(gateway: Running, phase: str) -> None:
    task = await gateway.create(**{f"{phase}Timeout": 100})
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["details"]) == ("TIMEOUT", {"phase": phase})


async def test_reports_break_the_silence(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    await gateway.create(silenceTimeout=60_000)
    job = await backend.next_job()
    await backend.report(job, status="PROCESSING", progress=1)
    _, told = await gateway.call("GET", f"/api/tasks/{job['id']}")
    assert told["status"] == "PROCESSING"
    await backend.report(job, status="COMPLETED", result=1)
    assert (await gateway.task(job["id"]))["status"] == "COMPLETED"


async def test_a_callback_extends_its_attempt(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend)
    await gateway.create(timeout=1_000)
    job = await backend.next_job()
    await backend.report(job, status="PROCESSING", extend_ms=600_000)
    ended = await gateway.create(timeout=1_100)
    assert (await gateway.task(ended["id"], wait_s=10))["status"] == "TIMEOUT"
    # Its own time was over before that one's; it goes on all the same.
    assert (await gateway.task(job["id"]))["status"] == "PROCESSING"


async def test_a_server_is_told_no_more_time_than_there_is(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    await gateway.create(timeout=60_000, totalTimeout=5_000)
    job = await backend.next_job()
    assert 0 < job["timeout"] <= 5_000
