"""What calls over gRPC get that reach a gateway while it stops."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import CreateTaskRequest, WatchTasksRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.wire.refusals import read_refusal
from tests.backends import SUCCESS, Job, running_backend
from tests.gateways import Running, running_gateway, token
from tests.processes import GatewayProcess, start_gateway

CALLERS = 20
LONG_MS = 60_000


def bearer(text: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {text}"),)


def call_until_there_is_no_gateway(
    gateway: GatewayProcess, told: list[StatusCode], begun: threading.Barrier
) -> None:
    """Creates tasks one after the other over a connection of its own; once all have begun."""
    # Without it, all that call in one process share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(gateway.grpc, options=options) as channel:
        create = TaskServiceStub(channel).CreateTask
        request = CreateTaskRequest(type="nobody", asynchronous=True)
        create(request, metadata=bearer(gateway.token))
        told.append(StatusCode.OK)
        begun.wait()
        while True:
            try:
                create(request, metadata=bearer(gateway.token), timeout=30)
            except grpc.RpcError as error:
                told.append(error.code())
                if "Connection refused" in (error.details() or ""):
                    return
            else:
                told.append(StatusCode.OK)


async def test_no_call_is_told_that_it_was_cancelled_because_the_gateway_stops(
    tmp_path: Path,
) -> None:
    gateway, told = await start_gateway(tmp_path), list[StatusCode]()
    begun = threading.Barrier(CALLERS + 1)
    try:
        callers = [
            threading.Thread(target=call_until_there_is_no_gateway, args=(gateway, told, begun))
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        await asyncio.to_thread(begun.wait)
        assert await gateway.stop() == 0
        for caller in callers:
            await asyncio.to_thread(caller.join)
        assert set(told) == {StatusCode.OK, StatusCode.UNAVAILABLE}
        # Who was not answered had nothing done.
        await gateway.restart()
        assert await queued(gateway) == told.count(StatusCode.OK)
    finally:
        await gateway.stop()


async def queued(gateway: GatewayProcess) -> int:
    """Counts the tasks that wait."""
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        tasks: Any = TaskServiceStub(channel)
        call = tasks.WatchTasks(WatchTasksRequest(), metadata=bearer(gateway.token))
        ids: set[str] = set()
        async for said in call:
            ids |= {task.id for task in said.tasks}
            if said.snapshot_complete:
                break
        call.cancel()
        return len(ids)


@asynccontextmanager
async def called(gateway: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield channel


async def test_who_calls_a_gateway_that_stops_is_told_to_try_again_and_who_called_is_answered(
    tmp_path: Path,
) -> None:
    go = asyncio.Event()

    async def slow(job: Job) -> web.StreamResponse:
        await go.wait()
        return await SUCCESS(job)

    async with (
        running_backend(slow) as backend,
        running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway,
        called(gateway) as channel,
    ):
        await gateway.register(backend)
        tasks: Any = TaskServiceStub(channel)
        request = CreateTaskRequest(type="echo", asynchronous=False)
        first = asyncio.ensure_future(tasks.CreateTask(request, metadata=bearer(token())))
        await backend.next_job()
        stopping = asyncio.create_task(gateway.gateway.stop())
        await asyncio.sleep(0)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await tasks.CreateTask(request, metadata=bearer(token()))
        refusal = read_refusal(refused.value.trailing_metadata())
        assert (refused.value.code(), refusal.code) == (StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert refusal.retry_after_s == 1.0
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await tasks.WatchTasks(WatchTasksRequest(), metadata=bearer(token())).read()
        assert read_refusal(refused.value.trailing_metadata()).code == "UNAVAILABLE"
        # Probes are told how it is for as long as it is there.
        probe: Any = health_pb2_grpc.HealthStub(channel)
        health = await probe.Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        go.set()
        assert (await first).task.status == Task.COMPLETED
        await stopping
        assert len(backend.history) == 1
