"""The same request again gives the same task: over gRPC, at once, and after a restart."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

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


#: The defaults of a task, as a client may spell them out.
SPELLED_OUT = {
    "async": True,
    "priority": 0,
    "timeout": 300_000,
    "queueTimeout": 300_000,
    "silenceTimeout": 0,
    "totalTimeout": 86_400_000,
    "maxAttempts": 3,
    "max_attempts": 3,
    "idempotent": False,
    "delayMs": 0,
    "capabilities": [],
    "labels": {},
    "payload": {},
}


@pytest.mark.parametrize("field", SPELLED_OUT)
async def test_a_default_that_is_spelled_out_makes_no_other_request(
    gateway: Running, field: str
) -> None:
    spelled = {field: SPELLED_OUT[field]}
    for more in ({}, {"timeout": 5_000, "priority": 3}):
        said = {"requestId": f"one-{len(more)}", **more}
        first = await gateway.create(**said)
        again = await gateway.create(**{**spelled, **said})
        assert again["id"] == first["id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("async", False),
        ("priority", 1),
        ("timeout", 299_999),
        ("maxAttempts", 2),
        ("idempotent", True),
        ("delayMs", 1),
        ("notBefore", "2020-01-01T00:00:00Z"),
        ("capabilities", ["gpu"]),
        ("labels", {"a": "b"}),
        ("payload", {"a": None}),
        ("resultTtl", 1),
        ("type", "other"),
    ],
)
async def test_whatever_a_request_says_else_makes_another_one(
    gateway: Running, field: str, value: object
) -> None:
    first = await gateway.create(requestId="one")
    said = {"type": "echo", "requestId": "one", field: value}
    status, body = await gateway.call("POST", "/api/tasks", said)
    assert (status, body["code"]) == (422, "REQUEST_ID_REUSED"), first


async def test_the_order_of_labels_and_capabilities_does_not_matter(gateway: Running) -> None:
    names = [f"name-{number}" for number in range(9)]
    first, again = [
        await gateway.create(
            requestId="one", capabilities=order, labels={name: name.upper() for name in order}
        )
        for order in (names, names[::-1])
    ]
    assert again["id"] == first["id"]


@pytest.mark.parametrize(
    "value",
    [b"1e9999999999999999999", b"-1E-9999999999999999999", b"9" * 5_000, b"[" * 127 + b"]" * 127],
    ids=["large", "small", "long", "deep"],
)
async def test_any_payload_can_have_an_id(gateway: Running, value: bytes) -> None:
    first = await create(gateway, "one", payload_json=b'{"b":%b,"a":1}' % value)
    again = await create(gateway, "one", payload_json=b'{ "a":1, "b":%b }' % value)
    assert (again.task.id, again.replayed) == (first.task.id, True)


async def test_a_request_that_names_no_default_stays_the_same_when_it_is_changed(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        first = await create(gateway, "one")
    async with running_gateway(tmp_path, async_timeout_ms=60_000, max_attempts=5) as gateway:
        again = await create(gateway, "one")
    assert again.task.id == first.task.id


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


@pytest.mark.parametrize("seconds", [2**62, 253_402_300_800])
async def test_a_start_that_no_calendar_has_is_refused_as_out_of_bounds(
    gateway: Running, seconds: int
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(gateway, "one", not_before=Timestamp(seconds=seconds))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "notBefore" in (refused.value.details() or "")
