"""Start and stop of a gateway."""

import asyncio
from pathlib import Path

import grpc
import pytest

from inferry.server.store import StoreError
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import TaskEvent
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import Job, running_backend
from tests.gateways import running_gateway, token
from tests.processes import GatewayProcess


@pytest.mark.file_store
async def test_a_second_gateway_on_the_same_data_is_refused_and_says_why(tmp_path: Path) -> None:
    async with running_gateway(tmp_path):
        with pytest.raises(StoreError, match=str(tmp_path)):
            async with running_gateway(tmp_path):
                pass


async def test_a_taken_grpc_port_is_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path / "one") as first:
        port = first.gateway.grpc_address.rpartition(":")[2]
        with pytest.raises(OSError, match=port):
            async with running_gateway(tmp_path / "two", grpc_port=int(port)):
                pass


async def test_a_stop_lets_a_synchronous_call_end_and_cuts_watchers(tmp_path: Path) -> None:
    answer = asyncio.Event()

    async def slow(_job: Job) -> object:
        await answer.wait()
        return await backend_answer(_job)

    async with running_backend() as backend:
        backend_answer = backend.answer
        backend.answer = slow  # type: ignore[assignment]
        async with running_gateway(tmp_path) as gateway:
            await gateway.register(backend)
            auth = (("authorization", f"Bearer {token()}"),)
            async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
                tasks = TaskServiceStub(channel)
                waiting = await tasks.CreateTask(pb.CreateTaskRequest(type="none"), metadata=auth)
                watch = tasks.WatchTask(pb.WatchTaskRequest(id=waiting.task.id), metadata=auth)
                for kind in (TaskEvent.CREATED, TaskEvent.QUEUED):
                    step = await watch.read()
                    assert isinstance(step, pb.WatchTaskResponse)
                    assert step.event.kind == kind
                request = pb.CreateTaskRequest(type="echo", asynchronous=False)
                call = asyncio.ensure_future(tasks.CreateTask(request, metadata=auth))
                await backend.next_job()
                stopping = asyncio.create_task(gateway.gateway.stop())
                answer.set()
                assert (await call).task.result.struct_value["done"] is True
                await stopping
                with pytest.raises(grpc.aio.AioRpcError):
                    await watch.read()


async def test_sigterm_ends_the_process_with_0(gateway_process: GatewayProcess) -> None:
    assert await gateway_process.stop() == 0
    assert "gateway stopped" in gateway_process.log
