"""The same request again gives the same task: over gRPC, at once, and after a restart."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import CreateTaskRequest
from tests.backends import Backend
from tests.gateways import Running, running_gateway, token


async def create(gateway: Running, request_id: str, **more: Any) -> Any:
    metadata = (("authorization", f"Bearer {token()}"),)
    request = CreateTaskRequest(type="echo", request_id=request_id, **more)
    return await gateway.tasks.CreateTask(request, metadata=metadata)


async def test_a_repeated_request_gives_the_task_of_the_first(gateway: Running) -> None:
    first = await create(gateway, "one")
    again = await create(gateway, "one")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.task.id == first.task.id
    assert (await create(gateway, "two")).task.id != first.task.id


async def test_many_at_once_create_one_task_and_hold_one_slot(
    gateway: Running, backend: Backend
) -> None:
    server_id = await gateway.register(backend, maxConcurrent=20)
    made = await asyncio.gather(
        *(create(gateway, "one", asynchronous=False) for _ in range(20)),
    )
    assert len({one.task.id for one in made}) == 1
    assert {one.task.status for one in made} == {Task.COMPLETED}
    assert sum(one.replayed for one in made) == 19
    assert len(backend.history) == 1
    await gateway.eventually(f"/api/servers/{server_id}", lambda server: server["active"] == 0)


async def test_another_request_under_the_same_id_is_refused(gateway: Running) -> None:
    first = await create(gateway, "one")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(gateway, "one", priority=3)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert first.task.id in (refused.value.details() or "")


@pytest.mark.parametrize("request_id", ["with space", "ü", "x" * 256, "new\nline"])
async def test_an_id_that_cannot_be_one_is_refused(gateway: Running, request_id: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(gateway, request_id)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_id_survives_a_restart(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        first = await create(gateway, "one")
    async with running_gateway(tmp_path) as gateway:
        again = await create(gateway, "one")
    assert (again.task.id, again.replayed) == (first.task.id, True)
