"""Calls, streams, timeouts and cancels: alike in the same process and over a socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from structlog.typing import EventDict

from inferry.server.errors import GoneError
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import Task
from tests.server.rpc.wiring import BACKEND, CLIENT, TASK, Wired, as_rest_sees_it, info


async def test_a_call_runs_as_the_token_says(wired: Wired) -> None:
    response = await wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    assert response == pb.GetTaskResponse(task=Task(id=TASK, tenant="a-client"))


async def test_a_call_tells_how_it_ended(wired: Wired) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    assert await call.code() is StatusCode.OK
    assert (await call).task.id == TASK
    assert (await call).task.id == TASK
    assert call.done()
    assert not call.cancelled()
    assert call.cancel() is False


async def test_probes_need_no_token(wired: Wired) -> None:
    response = await wired.health.Check(health_pb2.HealthCheckRequest(service=""))
    assert response.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.health.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert caught.value.code() is StatusCode.NOT_FOUND


async def test_a_stream_arrives_in_order_and_ends(wired: Wired) -> None:
    call = wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=CLIENT)
    events = [response.event async for response in call]
    assert [(event.seq, event.task_id) for event in events] == [
        (1, "a-client"),
        (2, "a-client"),
        (3, "a-client"),
    ]
    assert await call.code() is StatusCode.OK
    assert await call.read() is grpc.aio.EOF


async def test_an_error_ends_a_stream_after_what_came_before(wired: Wired) -> None:
    wired.servicer.error = GoneError("purged")
    call: Any = wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=CLIENT)
    assert [(await call.read()).event.seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert as_rest_sees_it(caught.value) == (StatusCode.NOT_FOUND, "purged", [info("GONE")])
    assert await call.code() is StatusCode.NOT_FOUND


async def test_a_stream_of_requests_arrives_in_order(wired: Wired) -> None:
    async def requests() -> AsyncIterator[pb.ReportTaskRequest]:
        yield pb.ReportTaskRequest(id="first")
        yield pb.ReportTaskRequest(id="last")

    response = await wired.stub.ReportTask(requests(), metadata=BACKEND)
    assert (response.id, response.reports) == ("a-backend", 2)
    assert wired.servicer.reported == ["first", "last"]


async def test_a_call_that_takes_too_long_ends_on_both_sides(wired: Wired) -> None:
    request = pb.GetTaskRequest(id=TASK, wait_seconds=60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.stub.GetTask(request, metadata=CLIENT, timeout=0.1)
    assert (caught.value.code(), caught.value.details()) == (
        StatusCode.DEADLINE_EXCEEDED,
        "Deadline Exceeded",
    )
    await wired.servicer.ended.wait()


async def test_a_stream_that_takes_too_long_ends_on_both_sides(wired: Wired) -> None:
    request = pb.WatchTaskRequest(id=TASK, after_seq=1)
    call: Any = wired.stub.WatchTask(request, metadata=CLIENT, timeout=0.2)
    assert [(await call.read()).event.seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    await wired.servicer.ended.wait()


async def test_cancelling_a_call_cancels_its_handler(wired: Wired, logged: list[EventDict]) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK, wait_seconds=60), metadata=CLIENT)
    waiting = asyncio.ensure_future(call)
    await wired.servicer.started.wait()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()
    assert call.cancelled()
    assert await call.code() is StatusCode.CANCELLED


async def test_cancelling_whoever_waits_cancels_the_handler(wired: Wired) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK, wait_seconds=60), metadata=CLIENT)
    waiting = asyncio.ensure_future(call)
    await wired.servicer.started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()


async def test_cancelling_a_stream_that_waits_ends_its_handler(wired: Wired) -> None:
    request = pb.WatchTaskRequest(id=TASK, after_seq=1)
    call = wired.stub.WatchTask(request, metadata=CLIENT)
    for _ in range(3):
        await call.read()
    waiting = asyncio.ensure_future(call.read())
    await wired.servicer.started.wait()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
