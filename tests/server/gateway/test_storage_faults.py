"""A whole gateway whose disk is full, fails, or is held on to by somebody else."""

import asyncio
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from inferry.server.app.store import DATABASE
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import Assignment
from tests.backends import ACCEPTED, SUCCESS, Backend, Job
from tests.gateways import Running, running_gateway, token
from tests.model_worker import ModelWorker, streamed_gateway
from tests.processes import GatewayProcess
from tests.server.store.faulty_disk import FaultyDisk, failing, faulty_disk, full, healthy

pytestmark = pytest.mark.file_store

FAILED_SYNC = failing("sync", "-wal", apsw.SQLITE_IOERR_FSYNC)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
async def gateway(disk: FaultyDisk, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running
        disk.fault = healthy


async def refused(gateway: Running) -> None:
    """Creates a task in vain."""
    async with gateway.http.post(
        f"{gateway.url}/api/tasks",
        json={"type": "echo"},
        headers={"Authorization": f"Bearer {token()}"},
    ) as response:
        assert (response.status, (await response.json())["code"]) == (503, "UNAVAILABLE")
        assert int(response.headers["Retry-After"]) > 0


async def ready(gateway: Running) -> bool:
    """Whether the gateway says so, over gRPC and over REST."""
    # Its types leave out what it calls.
    stub: Any = HealthStub(gateway.gateway.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    status, body = await gateway.call("GET", "/health")
    assert body.get("reason") == (None if status == 200 else "store")
    # A disk that is full is no reason to start the process again.
    assert await gateway.call("GET", "/livez") == (200, {"status": "alive"})
    assert (status == 200) is (answer.status == health_pb2.HealthCheckResponse.SERVING)
    return status == 200


async def recovered(gateway: Running) -> None:
    await gateway.eventually("/health", lambda body: body["status"] == "healthy")


async def test_on_a_full_disk_writes_are_refused_and_reads_and_watches_go_on(
    gateway: Running, disk: FaultyDisk, backend: Backend, tmp_path: Path
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend, maxConcurrent=1)
    first = await gateway.create()
    job = await backend.next_job()
    watching = asyncio.create_task(gateway.events(first["id"]))

    disk.fault = full
    await refused(gateway)
    status, body = await backend.report(job, status="COMPLETED", result=1)
    assert (status, body["code"]) == (503, "UNAVAILABLE")
    assert (await gateway.task(first["id"]))["status"] != "COMPLETED"
    assert await ready(gateway)

    disk.fault = healthy
    second = await gateway.create()
    assert (await backend.report(job, status="COMPLETED", result=1))[0] == 200
    assert (await watching)[-1]["status"] == "COMPLETED"
    # The one slot is free again, and only now.
    assert (await backend.next_job())["id"] == second["id"]
    _, listed = await gateway.call("GET", "/api/tasks")
    assert {task["id"] for task in listed["tasks"]} == {first["id"], second["id"]}
    with apsw.Connection(str(tmp_path / DATABASE)) as shell:
        assert shell.execute("PRAGMA integrity_check").get == "ok"
    shell.close()


async def test_after_a_failed_sync_the_gateway_is_not_ready_reads_on_and_recovers_by_itself(
    gateway: Running, disk: FaultyDisk, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    server = await gateway.register(backend, maxConcurrent=2)
    first = await gateway.create()
    job = await backend.next_job()

    disk.fault = FAILED_SYNC
    await refused(gateway)
    await gateway.eventually("/health", lambda body: body["status"] == "unhealthy")
    assert not await ready(gateway)
    await refused(gateway)
    assert (await backend.report(job, status="COMPLETED", result=1))[0] == 503
    assert (await gateway.task(first["id"]))["id"] == first["id"]
    _, shown = await gateway.call("GET", f"/api/servers/{server}")
    assert shown["active"] == 1

    disk.fault = healthy
    await recovered(gateway)
    assert (await backend.report(job, status="COMPLETED", result=1))[0] == 200
    later = [await gateway.create() for _ in range(3)]
    jobs = [await backend.next_job() for _ in range(2)]
    assert len(backend.history) == 3
    assert (await backend.report(jobs[0], status="COMPLETED"))[0] == 200
    await backend.next_job()
    assert {job["id"] for job in backend.history} == {first["id"], *(task["id"] for task in later)}


async def test_an_answer_that_comes_while_the_disk_fails_is_written_when_it_is_good_again(
    gateway: Running, disk: FaultyDisk, backend: Backend
) -> None:
    async def answer_on_a_bad_disk(job: Job) -> aiohttp.web.StreamResponse:
        disk.fault = FAILED_SYNC
        return await SUCCESS(job)

    backend.answer = answer_on_a_bad_disk
    await gateway.register(backend)
    creating = asyncio.create_task(gateway.create(**{"async": False}))
    await gateway.eventually("/health", lambda body: body["status"] == "unhealthy")
    assert not creating.done()
    disk.fault = healthy
    assert (await creating)["status"] == "COMPLETED"
    assert len(backend.history) == 1


async def test_waiting_tasks_are_dispatched_after_the_recovery(
    gateway: Running, disk: FaultyDisk, backend: Backend
) -> None:
    task = await gateway.create()
    await gateway.register(backend)
    waiting = await gateway.create(delayMs=300)
    await gateway.task(task["id"], wait_s=20)
    disk.fault = FAILED_SYNC
    await gateway.eventually("/health", lambda body: body["status"] == "unhealthy")
    disk.fault = healthy
    assert (await gateway.task(waiting["id"], wait_s=20))["status"] == "COMPLETED"
    assert len(backend.history) == 2


async def test_a_shell_that_holds_the_lock_delays_writes_and_nothing_else(
    gateway: Running, tmp_path: Path
) -> None:
    first = await gateway.create()
    shell = apsw.Connection(str(tmp_path / DATABASE))
    # The gateway may be writing, too: a word of its own on the time.
    shell.set_busy_timeout(10_000)
    shell.execute("BEGIN IMMEDIATE")
    creating = asyncio.create_task(refused(gateway))
    await gateway.task(first["id"])
    assert not creating.done()
    await creating
    assert await ready(gateway)
    shell.close()
    await gateway.create()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where the tests may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], check=False, capture_output=True
    )
    if mounting.returncode:
        pytest.skip(f"needs a mount: {mounting.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_disk_that_really_is_full_loses_nothing_and_serves_again_when_it_has_room(
    small_disk: Path,
) -> None:
    payload = {"text": "x" * 50_000}
    async with running_gateway(small_disk) as gateway:
        first = await gateway.create(payload=payload)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
        for _ in range(3):
            status, body = await gateway.call("POST", "/api/tasks", {"type": "echo"})
            assert (status, body["code"]) == (503, "UNAVAILABLE")
            assert (await gateway.task(first["id"]))["payload"] == payload
        filler.unlink()
        await recovered(gateway)
        second = await gateway.create(payload=payload)
    async with running_gateway(small_disk) as gateway:
        _, listed = await gateway.call("GET", "/api/tasks")
        assert [task["id"] for task in listed["tasks"]] == [second["id"], first["id"]]


async def test_a_gateway_that_cannot_write_to_any_file_recovers_when_it_can(
    gateway_process: GatewayProcess,
) -> None:
    """Not even its log: a limit that the kernel enforces stands in for the disk."""
    pid, tasks = gateway_process.pid, f"{gateway_process.rest}/api/tasks"
    headers = {"Authorization": f"Bearer {gateway_process.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.timeout(30):

        async def create() -> tuple[int, str]:
            async with http.post(tasks, json={"type": "none"}) as response:
                return response.status, (await response.json()).get("id", "")

        async def read(task_id: str) -> int:
            async with http.get(f"{tasks}/{task_id}") as response:
                return response.status

        created = [await create() for _ in range(50)]
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, hard))
        for _ in range(3):
            assert (await create())[0] == 503
            assert await read(created[0][1]) == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        while True:
            last = await create()
            if last[0] != 503:
                break
            await asyncio.sleep(0.05)
        await gateway_process.kill()
        await gateway_process.restart()
        for status, task_id in (*created, last):
            assert (status, await read(task_id)) == (202, 200)


async def test_a_full_disk_does_not_cost_a_worker_what_it_has_that_connects_again(
    disk: FaultyDisk, tmp_path: Path
) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    async with streamed_gateway(tmp_path) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=work)
        async with worker.connected():
            task_id = await gateway.create()
            await worker.until(lambda: bool(worker.held))
        disk.fault = full
        async with worker.connected():
            assert worker.welcome is not None
            assert worker.welcome.resumed
            disk.fault = healthy
            go.set()
            assert (await gateway.task(task_id)).status == Task.COMPLETED
