"""Every RPC that streams, asked wrongly in all ways: refused in words, and nothing stays behind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from inferry.server.access.tokens import Role
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import (
    FollowTasksRequest,
    ReportTaskRequest,
    WatchTaskRequest,
    WatchTasksRequest,
)
from inferry.v1.worker_pb2 import WorkerHello, WorkerMessage
from tests.backends import ACCEPTED, Backend
from tests.gateways import Running, running_gateway, token
from tests.model_worker import ModelWorker
from tests.server.gateway.hostile import (
    REFUSED,
    STREAMS,
    Doors,
    ask,
    call,
    doors_of,
    hostile,
    no_requests,
)
from tests.server.gateway.running import ended_task, running_now, until_left

#: What each stream may begin with so that it goes on: a new one needs a word here.
OPENINGS: dict[str, Callable[[str], Message]] = {
    "WatchTask": lambda task: WatchTaskRequest(id=task),
    "WatchTasks": lambda _task: WatchTasksRequest(),
    "FollowTasks": lambda task: FollowTasksRequest(add_ids=[task]),
    "ReportTask": lambda task: ReportTaskRequest(
        id=task, update=TaskUpdate(status=Task.PROCESSING, progress=0.5)
    ),
    "Connect": lambda _task: WorkerMessage(
        hello=WorkerHello(name="gpu-1", protocol_version=1, capabilities=["none"])
    ),
}
ROLES = (Role.CLIENT, Role.BACKEND, Role.ADMIN)


@pytest.fixture
async def gateway(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A gateway in which nothing breaks unseen."""
    with structlog.testing.capture_logs() as logged:
        async with running_gateway(tmp_path) as gateway:
            yield gateway
    assert not [line for line in logged if line["log_level"] in ("error", "critical")]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
async def doors(gateway: Running) -> AsyncIterator[Doors]:
    async with doors_of(gateway) as doors:
        yield doors


async def subject_of(gateway: Running, method: MethodDescriptor, task: str) -> str:
    """Chooses a task of which there is the most to say: who hears of it is not to wait."""
    return await ended_task(gateway) if method.server_streaming else task


async def serves(gateway: Running) -> None:
    """Makes sure that a worker gets work and does it."""
    worker = ModelWorker(gateway.gateway.grpc_address, slots=1)
    async with worker.connected():
        made = await gateway.create()
        assert (await gateway.task(made["id"], wait_s=10))["status"] == "COMPLETED"


def test_each_stream_has_an_opening() -> None:
    assert {method.name for method in STREAMS} == set(OPENINGS)


@pytest.fixture
async def task(gateway: Running, backend: Backend) -> str:
    """A task that a backend has, and does not end."""
    backend.answer = ACCEPTED
    await gateway.register(backend, capabilities=["held"])
    made = await gateway.create(type="held", timeout=600_000)
    await backend.next_job()
    await gateway.eventually(f"/api/tasks/{made['id']}", lambda now: now["status"] == "PROCESSING")
    return str(made["id"])


@pytest.mark.parametrize("method", STREAMS, ids=lambda method: method.name)
async def test_whatever_is_said_is_refused_in_words_and_alike_at_both_doors(
    gateway: Running, doors: Doors, task: str, method: MethodDescriptor
) -> None:
    subject = await subject_of(gateway, method, task)
    opening = OPENINGS[method.name](subject)
    before = running_now()
    for request in hostile(GetMessageClass(method.input_type), subject):
        for said in ([request], [opening, request])[: 1 + method.client_streaming]:
            near = await ask(doors.near, method, *said, role=Role.ADMIN)
            far = await ask(doors.far(method), method, *said, role=Role.ADMIN)
            told = method.name, len(said), str(request)[:500], near, far
            assert {near.code, far.code} <= REFUSED, told
            if StatusCode.INVALID_ARGUMENT in (near.code, far.code):
                assert near[:2] == far[:2], told
    await until_left(gateway, before)
    await serves(gateway)


@pytest.mark.parametrize("method", STREAMS, ids=lambda method: method.name)
async def test_bytes_that_are_no_request_are_refused_over_the_wire(
    gateway: Running, doors: Doors, task: str, method: MethodDescriptor
) -> None:
    opening = OPENINGS[method.name](await subject_of(gateway, method, task))
    before = running_now()
    for request in no_requests(GetMessageClass(method.input_type)):
        for said in ([request], [opening, request])[: 1 + method.client_streaming]:
            got = await ask(doors.far(method), method, *said, role=Role.ADMIN)
            assert got.code in REFUSED, (request, got)
    await until_left(gateway, before)


@pytest.mark.parametrize("door", ["near", "far"])
@pytest.mark.parametrize("method", STREAMS, ids=lambda method: method.name)
async def test_who_hangs_up_leaves_nothing_behind(
    gateway: Running, task: str, method: MethodDescriptor, door: str
) -> None:
    before = running_now()
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as wire:
        channel: Any = gateway.gateway.channel if door == "near" else wire
        for _ in range(20):
            taken = asyncio.Event()

            async def says(taken: asyncio.Event = taken) -> AsyncIterator[Message]:
                yield OPENINGS[method.name](task)
                taken.set()
                await asyncio.Event().wait()

            request = says() if method.client_streaming else OPENINGS[method.name](task)
            asked = call(channel, method, request, token())
            if method.server_streaming:
                assert await anext(aiter(asked))
            else:
                asked = asyncio.ensure_future(asked)
                await taken.wait()
            asked.cancel()
    await until_left(gateway, before)
