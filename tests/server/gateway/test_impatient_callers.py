"""Callers that hang up while their write is on its way to a slow disk, over real gRPC.

What follows a commit does so all the same: memory and disk never part.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest

from inferry.server.engine.committer import Committer, Settle
from inferry.server.store.operations import Operation, PauseType
from inferry.server.task.pause import PausedType
from inferry.v1.server_service_pb2 import DeregisterServerRequest, RegisterServerRequest
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import UpdateTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import ACCEPTED, Backend
from tests.gateways import Running, running_gateway, token
from tests.server.store.faulty_disk import FaultyDisk, faulty_disk

pytestmark = pytest.mark.file_store

ADMIN = (("authorization", f"Bearer {token()}"),)
#: Longer than any test.
LONG_MS = 600_000


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
async def gateway(disk: FaultyDisk, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, cancel_grace_ms=LONG_MS) as running:
        yield running


@pytest.fixture
async def channel(gateway: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield channel


class Stall:
    """A disk on which a sync hangs, and who comes and goes meanwhile."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._loop = asyncio.get_running_loop()
        self._hanging = asyncio.Event()
        self._go_on = threading.Event()
        self._came = asyncio.Event()
        self._left = asyncio.Event()

    def hang(self) -> None:
        self._loop.call_soon_threadsafe(self._hanging.set)
        self._go_on.wait()

    async def begin(self) -> list[asyncio.Task[Any]]:
        """Makes the disk busy: two at once, for a lone write may be done on the loop."""
        pause = PauseType(PausedType("none", "", 1))
        do = self._committer.do
        busy = [asyncio.create_task(do(pause, lambda _: None)) for _ in range(2)]
        await self._hanging.wait()
        return busy

    async def do(self, operation: Operation, settle: Settle) -> Any:
        """Stands in front of the committer."""
        self._came.set()
        try:
            return await Committer.do(self._committer, operation, settle)
        except asyncio.CancelledError:
            self._left.set()
            raise

    def end(self) -> None:
        self._go_on.set()

    async def hang_up(self, call: Any) -> None:
        """Ends a call that waits for the disk; returns when the gateway knows."""
        async with asyncio.timeout(10):
            await self._came.wait()
            call.cancel()
            await self._left.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


@asynccontextmanager
async def stalled(disk: FaultyDisk, gateway: Running) -> AsyncIterator[Stall]:
    """Lets no commit end before the block does."""
    committer = gateway.gateway._committer
    stall = Stall(committer)
    disk.before_sync = stall.hang
    busy = await stall.begin()
    with patch.object(committer, "do", stall.do):
        try:
            yield stall
        finally:
            disk.before_sync = lambda: None
            stall.end()
            await asyncio.gather(*busy)


async def test_a_registration_that_outlives_its_caller_is_in_the_list_and_harms_nobody(
    gateway: Running,
    channel: grpc.aio.Channel,
    disk: FaultyDisk,
    backend: Backend,
) -> None:
    stub: Any = ServerServiceStub(channel)
    request = RegisterServerRequest(url=backend.url, name="backend")
    async with stalled(disk, gateway) as stall:
        await stall.hang_up(stub.RegisterServer(request, metadata=ADMIN))
        # These wait for the commit, and share the next one.
        again = [asyncio.create_task(gateway.register(backend)) for _ in range(2)]
        creating = [asyncio.create_task(gateway.create()) for _ in range(3)]
    first, second = await asyncio.gather(*again)
    assert first == second
    for task in await asyncio.gather(*creating):
        assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"
    _, listed = await gateway.call("GET", "/api/servers")
    assert [server["id"] for server in listed["servers"]] == [first]


async def test_a_server_whose_registration_outlived_its_caller_gets_tasks(
    gateway: Running,
    channel: grpc.aio.Channel,
    disk: FaultyDisk,
    backend: Backend,
) -> None:
    stub: Any = ServerServiceStub(channel)
    request = RegisterServerRequest(url=backend.url, name="backend")
    async with stalled(disk, gateway) as stall:
        await stall.hang_up(stub.RegisterServer(request, metadata=ADMIN))
    task = await gateway.create()
    assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"


async def test_a_report_that_outlives_its_caller_frees_the_slot_of_a_cancelled_attempt(
    gateway: Running,
    channel: grpc.aio.Channel,
    disk: FaultyDisk,
    backend: Backend,
) -> None:
    backend.answer, backend.cancel_status = ACCEPTED, 404
    await gateway.register(backend, maxConcurrent=1)
    first = await gateway.create()
    job = await backend.next_job()
    await gateway.call("DELETE", f"/api/tasks/{first['id']}")
    await backend.next_cancel()
    second = await gateway.create()
    stub: Any = TaskServiceStub(channel)
    report = UpdateTaskRequest(
        id=first["id"],
        token=parse_qs(urlsplit(job["callback_url"]).query)["token"][0],
        update=TaskUpdate(status=Task.PROCESSING),
    )
    async with stalled(disk, gateway) as stall:
        await stall.hang_up(stub.UpdateTask(report))
    assert (await backend.next_job())["id"] == second["id"]


async def test_a_server_goes_though_who_took_it_out_hung_up(
    gateway: Running, channel: grpc.aio.Channel, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    server_id = await gateway.register(backend)
    await gateway.create()
    job = await backend.next_job()
    stub: Any = ServerServiceStub(channel)
    request = DeregisterServerRequest(id=server_id, grace_ms=LONG_MS)
    call = stub.DeregisterServer(request, metadata=ADMIN)
    path = f"/api/servers/{server_id}"
    await gateway.eventually(path, lambda server: server["status"] == "draining")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await backend.report(job, status="COMPLETED")
    await gateway.eventually(path, lambda body: body.get("code") == "NOT_FOUND")
