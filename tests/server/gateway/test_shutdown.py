"""What callers get when a gateway stops before their tasks have ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import grpc
import orjson
import pytest
from aiohttp import web
from google.protobuf.struct_pb2 import Struct
from grpc_status import rpc_status

from inferry.server.app import gateway as gateways
from inferry.server.carriers.worker import crew
from inferry.server.engine.committer import Committer
from inferry.server.store.operations import Insert, Operation, Result
from inferry.server.store.sqlite.store import SqliteStore
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.worker_pb2 import Assignment
from tests.backends import ACCEPTED, SUCCESS, Backend, Job, running_backend
from tests.gateways import Running, running_gateway, token
from tests.model_worker import ModelWorker
from tests.processes import GatewayProcess, start_gateway

GRACE_MS = 300
#: Longer than a test may take.
LONG_MS = 60_000
SYNC = {"type": "echo", "async": False, "timeout": 300_000}


async def never(_job: Job) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def for_ever(_worker: ModelWorker, _assignment: Assignment) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(never) as backend:
        yield backend


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    settings = tmp_path / "inferry.toml"
    settings.write_text(f"shutdown_grace_ms = {GRACE_MS}\n")
    gateway = await start_gateway(tmp_path, "--config", str(settings))
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest.fixture
async def http(gateway: GatewayProcess) -> AsyncIterator[aiohttp.ClientSession]:
    bearer = {"Authorization": f"Bearer {gateway.token}"}
    async with aiohttp.ClientSession(gateway.rest, headers=bearer) as session:
        yield session


async def register(http: aiohttp.ClientSession, backend: Backend) -> None:
    said = {"url": backend.url, "name": "backend", "capabilities": ["echo"]}
    async with http.post("/api/servers/register", json=said) as response:
        assert response.status == 200


async def create(http: aiohttp.ClientSession, **more: object) -> tuple[int, Any, dict[str, str]]:
    said = {"type": "echo", "async": False, "timeout": 60_000, **more}
    async with http.post("/api/tasks", json=said) as response:
        return response.status, orjson.loads(await response.read()), dict(response.headers)


async def until_there(http: aiohttp.ClientSession, task_type: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with http.get(f"/api/tasks?type={task_type}") as response:
                if (await response.json())["tasks"]:
                    return
            await asyncio.sleep(0.01)


async def test_a_synchronous_create_that_outlives_the_grace_is_told_the_id_of_its_task(
    gateway: GatewayProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    await register(http, backend)
    # One runs, the other waits for a server that will never come.
    running = asyncio.create_task(create(http))
    job = await backend.next_job()
    waiting = asyncio.create_task(create(http, type="nobody"))
    await until_there(http, "nobody")
    assert await gateway.stop() == 0
    ids = []
    for call in (running, waiting):
        status, body, headers = await call
        task_id = body["details"]["taskId"]
        assert (status, body["code"]) == (503, "UNAVAILABLE")
        assert task_id in body["error"]
        assert headers["Location"] == f"/api/tasks/{task_id}"
        assert int(headers["Retry-After"]) > 0
        ids.append(task_id)
    assert ids[0] == job["id"]
    await gateway.restart()
    for task_id in ids:
        async with http.get(f"/api/tasks/{task_id}") as response:
            assert (response.status, (await response.json())["id"]) == (200, task_id)


async def test_over_grpc_the_details_of_the_error_name_the_task(
    gateway: GatewayProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    await register(http, backend)
    auth = (("authorization", f"Bearer {gateway.token}"),)
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        tasks = TaskServiceStub(channel)
        request = CreateTaskRequest(type="echo", asynchronous=False, timeout_ms=60_000)
        call = asyncio.ensure_future(tasks.CreateTask(request, metadata=auth))
        job = await backend.next_job()
        assert await gateway.stop() == 0
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    details = Struct()
    # It reads what errors have, too.
    status = rpc_status.from_call(cast("grpc.Call", refused.value))
    assert status is not None
    assert any(packed.Unpack(details) for packed in status.details)
    assert details["taskId"] == job["id"]


async def test_a_repeated_synchronous_create_is_told_the_same_task(
    backend: Backend, tmp_path: Path
) -> None:
    said = {"type": "echo", "async": False, "timeout": 60_000, "requestId": "one"}
    async with running_gateway(tmp_path, shutdown_grace_ms=0) as gateway:
        await gateway.register(backend)
        first = asyncio.create_task(gateway.call("POST", "/api/tasks", said))
        job = await backend.next_job()
        again = asyncio.create_task(gateway.call("POST", "/api/tasks", said))
        gateway.gateway.begin_stop()
        for status, body in await asyncio.gather(first, again):
            assert (status, body["details"]) == (503, {"taskId": job["id"]})


async def test_who_waits_for_a_slot_over_grpc_is_served_before_the_gateway_ends(
    tmp_path: Path,
) -> None:
    answer = asyncio.Event()

    async def slow(job: Job) -> web.StreamResponse:
        await answer.wait()
        return await SUCCESS(job)

    async with running_backend(slow) as backend, running_gateway(tmp_path) as gateway:
        await gateway.register(backend, maxConcurrent=1)
        auth = (("authorization", f"Bearer {token()}"),)
        async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
            tasks = TaskServiceStub(channel)
            request = CreateTaskRequest(type="echo", asynchronous=False)
            calls = [asyncio.ensure_future(tasks.CreateTask(request, metadata=auth))]
            await backend.next_job()
            calls.append(asyncio.ensure_future(tasks.CreateTask(request, metadata=auth)))
            await gateway.eventually("/api/queue", lambda queue: queue["waiting"] == 1)
            stopping = asyncio.create_task(gateway.gateway.stop())
            answer.set()
            for reply in await asyncio.gather(*calls):
                assert reply.task.status == Task.COMPLETED
            await stopping


async def test_a_create_that_comes_when_the_grace_is_over_is_told_its_task(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, shutdown_grace_ms=0) as gateway:
        gateway.gateway.begin_stop()
        status, body = await gateway.call("POST", "/api/tasks", {"type": "echo", "async": False})
        assert (status, body["code"]) == (503, "UNAVAILABLE")
        request = GetTaskRequest(id=body["details"]["taskId"])
        auth = (("authorization", f"Bearer {token()}"),)
        found = await gateway.tasks.GetTask(request, metadata=auth)
        assert found.task.status == Task.PENDING


@asynccontextmanager
async def stopping(gateway: Running) -> AsyncIterator[None]:
    """Stops a gateway as ``inferry serve`` does, REST first, while the block runs."""

    async def stop() -> None:
        ends_s = gateway.gateway.begin_stop()
        await gateway.bridge.stop(ends_s - asyncio.get_running_loop().time() + 0.5)
        await gateway.gateway.stop()

    stops = asyncio.create_task(stop())
    try:
        yield
    finally:
        async with asyncio.timeout(20):
            await stops


def told_to_go(worker: ModelWorker) -> bool:
    """Whether the last word to a worker was that it gets no more and is to come again."""
    last = worker.messages[-1]
    return last.draining and last.HasField("reconnect")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets last words take as long as they do on a busy machine."""
    monkeypatch.setattr(gateways, "LAST_WORDS_S", LONG_MS / 1_000)
    monkeypatch.setattr(crew, "_CLOSE_S", LONG_MS / 1_000)


@pytest.mark.usefixtures("unhurried")
async def test_a_worker_reports_in_the_grace_and_is_then_told_to_come_again(
    tmp_path: Path,
) -> None:
    done = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await done.wait()
        worker.complete(assignment, b"42")

    async with running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=work)
        async with worker.connected():
            call = asyncio.create_task(gateway.call("POST", "/api/tasks", SYNC))
            await worker.until(lambda: bool(worker.held))
            async with stopping(gateway):
                assert not worker.messages[-1].draining
                done.set()
                status, task = await call
                assert (status, task["status"], task["result"]) == (200, "COMPLETED", 42)
                await worker.ended()
                assert (worker.code, told_to_go(worker)) == (grpc.StatusCode.OK, True)


async def test_a_task_that_waits_for_a_worker_starts_and_ends_in_the_grace(tmp_path: Path) -> None:
    done = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await done.wait()
        worker.complete(assignment, b"42")

    async with running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=work, slots=1)
        async with worker.connected():
            calls = [
                asyncio.create_task(gateway.call("POST", "/api/tasks", SYNC)) for _ in range(2)
            ]
            await worker.until(lambda: bool(worker.held))
            await gateway.eventually("/api/queue", lambda queue: queue["waiting"] == 1)
            async with stopping(gateway):
                done.set()
                for status, task in await asyncio.gather(*calls):
                    assert (status, task["status"]) == (200, "COMPLETED")


@pytest.mark.usefixtures("unhurried")
async def test_a_worker_that_does_not_end_in_the_grace_is_told_to_come_again_after_it(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, shutdown_grace_ms=GRACE_MS) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=for_ever)
        async with worker.connected():
            call = asyncio.create_task(gateway.call("POST", "/api/tasks", SYNC))
            await worker.until(lambda: bool(worker.held))
            async with stopping(gateway):
                status, body = await call
                assert (status, body["details"]) == (503, {"taskId": worker.got[0][0]})
                await worker.ended()
                assert (worker.code, told_to_go(worker)) == (grpc.StatusCode.OK, True)


async def test_who_waits_for_a_worker_whose_stream_is_cut_is_told_so_at_once(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=for_ever)
        async with worker.connected():
            call = asyncio.create_task(gateway.call("POST", "/api/tasks", SYNC))
            await worker.until(lambda: bool(worker.held))
            async with stopping(gateway):
                await worker.cut()
                assert (await call)[0] == 503


async def test_who_waits_for_a_slot_that_only_a_callback_frees_is_told_so_at_once(
    tmp_path: Path,
) -> None:
    async with (
        running_backend(ACCEPTED) as backend,
        running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway,
    ):
        await gateway.register(backend, maxConcurrent=1)
        task = await gateway.create()
        await backend.next_job()
        await gateway.eventually(f"/api/tasks/{task['id']}", lambda now: now["status"] != "PENDING")
        call = asyncio.create_task(gateway.call("POST", "/api/tasks", SYNC))
        await gateway.eventually("/api/queue", lambda queue: queue["waiting"] == 1)
        async with stopping(gateway):
            assert (await call)[0] == 503


async def test_a_timeout_that_runs_out_in_the_grace_is_waited_for(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, shutdown_grace_ms=LONG_MS) as gateway:
        said = {**SYNC, "queueTimeout": 500}
        call = asyncio.create_task(gateway.call("POST", "/api/tasks", said))
        await gateway.eventually("/api/queue", lambda queue: queue["waiting"] == 1)
        async with stopping(gateway):
            status, task = await call
            assert (status, task["status"]) == (200, "TIMEOUT")


async def test_what_is_being_written_when_a_gateway_stops_is_written_and_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However short the time for last words: a disk may be slower.
    monkeypatch.setattr(gateways, "LAST_WORDS_S", 0.0)
    writing, waited_for, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    commit, drain = SqliteStore.commit, Committer.drain

    async def slow_commit(store: SqliteStore, operations: Sequence[Operation]) -> Any:
        if any(isinstance(one, Insert) for one in operations):
            writing.set()
            await go.wait()
        return await commit(store, operations)

    async def told_drain(committer: Committer) -> None:
        waited_for.set()
        await drain(committer)

    monkeypatch.setattr(Committer, "drain", told_drain)
    async with (
        running_gateway(tmp_path) as running,
        grpc.aio.insecure_channel(running.gateway.grpc_address) as channel,
    ):
        monkeypatch.setattr(SqliteStore, "commit", slow_commit)
        bearer = (("authorization", f"Bearer {token()}"),)
        stub: Any = TaskServiceStub(channel)
        request = CreateTaskRequest(type="echo", asynchronous=True)
        creating = asyncio.ensure_future(stub.CreateTask(request, metadata=bearer))
        await writing.wait()
        stopping = asyncio.create_task(running.gateway.stop())
        await waited_for.wait()
        go.set()
        assert (await creating).task.id
        await stopping


async def test_what_is_being_given_away_as_the_gateway_stops_gets_to_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()
    async with running_backend(ACCEPTED) as backend, running_gateway(tmp_path) as gateway:
        inside = gateway.gateway
        await gateway.register(backend)
        commit = inside._store.commit

        async def slow(operations: Sequence[Operation]) -> list[Result]:
            results = await commit(operations)
            if any(isinstance(one, Insert) for one in operations):
                written.set()
                await go_on.wait()
            return results

        monkeypatch.setattr(inside._store, "commit", slow)
        creating = asyncio.ensure_future(gateway.create())
        await written.wait()
        stopping = asyncio.ensure_future(inside.stop())
        async with asyncio.timeout(10):
            while True:
                if not inside._memory.allocator._open:
                    break
                await asyncio.sleep(0.01)
        go_on.set()
        assert (await backend.next_job())["id"] == (await creating)["id"]
        await stopping
