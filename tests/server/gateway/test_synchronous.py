"""Who waits for a task in the call that creates it: how long, what is seen, and who hangs up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from inferry.v1.task_service_pb2 import CreateTaskRequest, CreateTaskResponse
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import Backend, running_backend
from tests.gateways import Running, running_gateway, token
from tests.server.gateway.test_tasks import Gate

ADMIN = (("authorization", f"Bearer {token()}"),)
#: Hangs up on the call that creates a task, once the task is there, and gives its id.
HangUp = Callable[..., Awaitable[str]]


@pytest.fixture
async def stub(gateway: Running) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield TaskServiceStub(channel)


async def only_task(gateway: Running) -> dict[str, Any]:
    """Waits until there is a task, and gives it."""
    found = await gateway.eventually("/api/tasks", lambda body: bool(body.get("tasks")))
    (task,) = found["tasks"]
    return dict(task)


@pytest.fixture(params=["REST", "gRPC"])
def hang_up(request: pytest.FixtureRequest, gateway: Running, stub: Any) -> HangUp:
    async def over_rest(**said: Any) -> str:
        call = asyncio.create_task(gateway.create(**{"async": False}, **said))
        task = await only_task(gateway)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return str(task["id"])

    async def over_grpc(**said: Any) -> str:
        creation = CreateTaskRequest(
            type="echo", asynchronous=False, request_id=said.get("requestId", "")
        )
        call = stub.CreateTask(creation, metadata=ADMIN)
        task = await only_task(gateway)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return str(task["id"])

    return over_rest if request.param == "REST" else over_grpc


@pytest.mark.parametrize(
    ("said", "waits_ms"),
    [
        ({}, 300),
        ({"timeout": 200}, 200),
        ({"totalTimeout": 400}, 400),
        ({"totalTimeout": 400, "queueTimeout": 100}, 100),
    ],
)
async def test_nobody_waits_for_a_server_longer_than_for_the_whole_task(
    tmp_path: Path, said: dict[str, int], waits_ms: int
) -> None:
    async with running_gateway(tmp_path, sync_timeout_ms=300) as gateway:
        task = await gateway.create(**{"async": False}, **said)
    assert (task["status"], task["code"]) == ("TIMEOUT", "TIMEOUT")
    phase, says = ("queue", f"no server took the task within {task['queueTimeout']} ms")
    if said == {"totalTimeout": 400}:
        phase, says = "total", "the task did not end within 400 ms"
    assert task["details"] == {"phase": phase}
    assert task["queueTimeout"] == waits_ms
    assert task["error"] == f"{says}: no server is registered"


async def test_its_time_is_that_of_an_attempt_and_the_grace_for_its_servers_own_word(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    task = await gateway.create(**{"async": False})
    assert (task["timeout"], task["queueTimeout"], task["totalTimeout"]) == (30_000, 30_000, 32_000)
    assert (await backend.next_job())["timeout"] == 30_000
    task = await gateway.create(**{"async": False, "timeout": 60_000})
    assert (task["queueTimeout"], task["totalTimeout"]) == (60_000, 62_000)
    task = await gateway.create()
    assert (task["queueTimeout"], task["totalTimeout"]) == (300_000, 86_400_000)


async def test_the_same_synchronous_request_is_one_whether_its_defaults_are_spelled_out_or_not(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    said: dict[str, Any] = {"async": False, "requestId": "order-7", "timeout": 5_000}
    first = await gateway.create(**said)
    again = await gateway.create(**said, queueTimeout=5_000, totalTimeout=7_000)
    assert first["id"] == again["id"]


async def test_it_is_processing_while_its_server_works(gateway: Running) -> None:
    gate = Gate()
    async with running_backend(gate) as backend:
        await gateway.register(backend)
        creating = asyncio.create_task(gateway.create(**{"async": False}))
        task_id = (await backend.next_job())["id"]
        path = f"/api/tasks/{task_id}"
        task = await gateway.eventually(path, lambda body: body["status"] == "PROCESSING")
        assert (task["attempt"], "finishedAt" in task) == (1, False)
        gate.open.set()
        assert (await creating)["status"] == "COMPLETED"
        events = await gateway.events(task_id)
    assert [event["kind"] for event in events] == ["CREATED", "DISPATCHED", "ACCEPTED", "FINISHED"]


async def test_one_that_waits_when_its_creator_hangs_up_is_cancelled(
    gateway: Running, hang_up: HangUp
) -> None:
    task = await gateway.task(await hang_up(), wait_s=10)
    assert task["status"] == "CANCELLED"
    assert task["error"] == "its creator hung up while it waited for a server"


async def test_one_that_runs_when_its_creator_hangs_up_goes_on(
    gateway: Running, hang_up: HangUp
) -> None:
    gate = Gate()
    async with running_backend(gate) as backend:
        await gateway.register(backend)
        task_id = await hang_up()
        assert (await backend.next_job())["id"] == task_id
        gate.open.set()
        assert (await gateway.task(task_id, wait_s=10))["status"] == "COMPLETED"


async def test_one_whose_request_has_a_name_waits_for_who_asks_again(
    gateway: Running, backend: Backend, hang_up: HangUp
) -> None:
    task_id = await hang_up(requestId="order-7")
    asking = asyncio.create_task(gateway.create(**{"async": False, "requestId": "order-7"}))
    await gateway.register(backend)
    done = await asking
    assert (done["id"], done["status"]) == (task_id, "COMPLETED")


async def test_the_id_is_told_before_the_end(gateway: Running) -> None:
    # As a stream of one answer: only there gRPC tells what comes before it.
    with grpc.insecure_channel(gateway.gateway.grpc_address) as channel:
        create = channel.unary_stream(
            "/inferry.v1.TaskService/CreateTask",
            CreateTaskRequest.SerializeToString,
            CreateTaskResponse.FromString,
        )
        wanted = (*ADMIN, ("inferry-task-id", "wanted"))
        call = create(CreateTaskRequest(type="echo", asynchronous=False), metadata=wanted)
        told = dict(await asyncio.to_thread(call.initial_metadata))
        task_id = str(told["inferry-task-id"])
        assert (await gateway.task(task_id))["status"] == "PENDING"
        call.cancel()
        assert (await gateway.task(task_id, wait_s=10))["status"] == "CANCELLED"
