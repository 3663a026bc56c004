"""A replica that dies, or stands still, is taken over from; one that comes back begins anew."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from grpc.aio import AioRpcError

from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.worker_pb2 import Assignment
from tests.backends import ACCEPTED, Job, running_backend
from tests.gateways import SECRET, Running, token
from tests.model_worker import ModelWorker
from tests.processes import GatewayProcess, start_gateway
from tests.server.replicas.crowd import LEASE_MS, Crowd, Replica, crowd
from tests.server.replicas.test_servers_shared import seen, until


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


class Elsewhere(Running):
    """A gateway in a process of its own."""

    process: GatewayProcess

    def tell(self, what: signal.Signals) -> None:
        os.kill(self.process.pid, what)


@asynccontextmanager
async def elsewhere(url: str, folder: Path, here: Replica) -> AsyncIterator[Elsewhere]:
    """Runs a replica in a process of its own."""
    settings = {
        "INFERRY_STORE": url,
        "INFERRY_JWT_SECRET": SECRET,
        "INFERRY_REPLICA_LEASE_MS": str(LEASE_MS),
        "INFERRY_SHUTDOWN_GRACE_MS": "200",
    }
    process = await start_gateway(folder, settings=settings)
    there = Elsewhere(here.gateway, here.bridge, here.config, process.rest, here.http)
    there.process = process
    try:
        yield there
    finally:
        with suppress(ProcessLookupError):
            there.tell(signal.SIGCONT)
        await process.stop()


@pytest.fixture
async def here(many: Crowd) -> Replica:
    return await many.join()


@pytest.fixture
async def there(here: Replica, postgres_url: str, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    async with elsewhere(postgres_url, tmp_path, here) as there:
        yield there


async def report_here(here: Replica, job: Job) -> None:
    """Calls back to another replica than the one that gave the job away."""
    query = job["callback_url"].partition("?")[2]
    url = f"{here.url}/api/tasks/{job['id']}?{query}"
    async with here.http.put(url, json={"status": "COMPLETED", "result": 1}) as response:
        assert response.status == 200, await response.text()


async def test_who_stands_still_is_taken_over_from_and_begins_anew_when_it_goes_on(
    here: Replica, there: Elsewhere
) -> None:
    patience = asyncio.Event()

    async def answer(job: Job) -> web.StreamResponse:
        if job["callback_url"] is None:
            await patience.wait()
            return web.json_response({"status": "success", "result": "late"})
        return await ACCEPTED(job)

    async with running_backend(answer) as backend:
        server_id = await there.register(backend, maxConcurrent=2)
        await seen(here, server_id)
        waited_for = asyncio.ensure_future(here.create(**{"async": False}))
        await backend.next_job()
        accepted = await here.create()
        job = await backend.next_job()
        await there.eventually(
            f"/api/tasks/{accepted['id']}", lambda body: body["status"] == "PROCESSING"
        )
        queued = [await here.create() for _ in range(4)]
        there.tell(signal.SIGSTOP)
        await until(lambda: here.own() == {server_id})
        # The call of who stands still may have come to anything; what was accepted goes on.
        assert (await waited_for)["code"] == "INTERNAL_ERROR"
        await report_here(here, job)
        assert (await here.task(accepted["id"]))["status"] == "COMPLETED"
        jobs = [await backend.next_job() for _ in range(2)]
        patience.set()
        there.tell(signal.SIGCONT)
        await until(lambda: "the gateway begins anew" in there.process.log)
        for job in jobs:
            await report_here(here, job)
        for _ in range(2):
            await report_here(here, await backend.next_job())
        for task in queued:
            done = await there.eventually(
                f"/api/tasks/{task['id']}", lambda body: body.get("status") == "COMPLETED"
            )
            assert done["attempt"] == 1
        # Nothing was given away twice, and who came back is one of them again.
        given = [(job["id"], job["attempt"]) for job in backend.history]
        assert len(given) == len(set(given)) == 6
        await there.create()
        assert (await backend.next_job())["attempt"] == 1


async def test_who_calls_one_that_stands_still_is_answered_when_it_begins_anew(
    here: Replica, there: Elsewhere
) -> None:
    async with grpc.aio.insecure_channel(there.process.grpc) as channel:
        await channel.channel_ready()
        stub, bearer = TaskServiceStub(channel), (("authorization", f"Bearer {token()}"),)

        async def create() -> grpc.StatusCode:
            try:
                request = CreateTaskRequest(type="echo", asynchronous=True)
                await stub.CreateTask(request, metadata=bearer)
            except AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        assert await create() is grpc.StatusCode.OK
        shared = here.lives.gateway._store.shared
        assert shared is not None
        await until(lambda: shared.accompanied)
        there.tell(signal.SIGSTOP)
        calls = [asyncio.create_task(create()) for _ in range(200)]
        await until(lambda: not shared.accompanied)
        there.tell(signal.SIGCONT)
        answers = set(await asyncio.gather(*calls))
        assert answers <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, answers


async def test_what_a_killed_replica_had_goes_on_at_another(
    here: Replica, there: Elsewhere
) -> None:
    async with running_backend(ACCEPTED) as backend:
        server_id = await there.register(backend)
        await seen(here, server_id)
        task = await there.create()
        job = await backend.next_job()
        await there.process.kill()
        await until(lambda: here.own() == {server_id})
        await here.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 1)
        await report_here(here, job)
        assert (await here.task(task["id"]))["status"] == "COMPLETED"
        await here.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 0)
        await there.process.restart()
        await here.create()
        await backend.next_job()


async def test_a_cancel_reaches_the_server_of_a_replica_that_died(
    here: Replica, there: Elsewhere
) -> None:
    async with running_backend(ACCEPTED) as backend:
        server_id = await there.register(backend)
        await seen(here, server_id)
        task = await there.create()
        await backend.next_job()
        await there.process.kill()
        await here.call("DELETE", f"/api/tasks/{task['id']}")
        assert await backend.next_cancel() == {"id": task["id"], "attempt": 1}
        await there.process.restart()


async def test_who_waits_is_told_at_once_when_the_call_ends_with_the_replica_that_stops(
    many: Crowd, here: Replica
) -> None:
    called = asyncio.Event()

    async def answer(job: Job) -> web.StreamResponse:
        called.set()
        await asyncio.sleep(3_600)
        raise AssertionError(job)

    other, stop = await many.start(shutdown_grace_ms=100)
    async with running_backend(answer) as backend:
        server_id = await other.register(backend)
        await seen(here, server_id)
        waiting = asyncio.ensure_future(here.create(timeout=600_000, **{"async": False}))
        await called.wait()
        await stop.aclose()
        done = await waiting
        assert (done["status"], done["details"]["reason"]) == ("FAILED", "ambiguous")


async def test_a_worker_takes_what_it_has_along_to_the_replica_that_it_dials(
    many: Crowd, here: Replica
) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    other = await many.join()
    worker = ModelWorker(here.lives.grpc_address, work=work)
    async with worker.connected():
        task = await other.create()
        await worker.until(lambda: bool(worker.held))
        moved = ModelWorker(
            other.lives.grpc_address, work=work, resume_token=worker.resume_token, held=worker.held
        )
        async with moved.connected():
            assert moved.welcome is not None
            assert moved.welcome.resumed
            await worker.ended()
            assert "gpu-1" in worker.details
            server_id = moved.welcome.server_id
            assert server_id in other.own()
            await until(lambda: server_id not in here.own())
            # It says so where it is, for the task that it has and for the next one.
            last = await here.create()
            await moved.until(lambda: bool(moved.got))
            go.set()
            moved.complete(Assignment(task_id=task["id"], attempt=1), b"1")
            for one in (task, last):
                done = await here.task(one["id"], wait_s=10)
                assert (done["status"], done["attempt"]) == ("COMPLETED", 1)
            await other.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 0)


async def test_a_worker_keeps_what_it_has_though_its_new_replica_has_not_heard_of_it_yet(
    many: Crowd,
) -> None:
    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await asyncio.sleep(3_600)

    one, other = [await many.join(store_notify=False) for _ in range(2)]
    worker = ModelWorker(one.lives.grpc_address, work=work)
    async with worker.connected():
        task = await one.create()
        await worker.until(lambda: bool(worker.held))
        moved = ModelWorker(
            other.lives.grpc_address, work=work, resume_token=worker.resume_token, held=worker.held
        )
        async with moved.connected():
            moved.complete(Assignment(task_id=task["id"], attempt=1), b"1")
            done = await other.task(task["id"], wait_s=10)
            assert (done["status"], done["attempt"]) == ("COMPLETED", 1)
            assert not moved.cancels


async def test_what_a_worker_had_whose_replica_died_is_lost_if_it_does_not_come_back(
    many: Crowd, postgres_url: str, tmp_path: Path
) -> None:
    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await asyncio.sleep(3_600)

    here = await many.join(lease_ms=5_000)
    async with elsewhere(postgres_url, tmp_path, here) as there:
        worker = ModelWorker(there.process.grpc, work=work)
        async with worker.connected():
            task = await here.create()
            await worker.until(lambda: bool(worker.held))
            assert worker.welcome is not None
            server_id = worker.welcome.server_id
            await there.process.kill()
            await until(lambda: server_id in here.own())
        member = here.lives.gateway._memory.fleet.get(server_id)
        assert member is not None
        # It is here first, and what it has after a look at the store.
        await until(lambda: member.active == 1)
        done = await here.task(task["id"], wait_s=20)
        assert done["details"]["reason"] == "lost", done
        await there.process.restart()


async def test_a_backend_that_is_found_by_all_has_one_who_probes_it(
    many: Crowd, here: Replica
) -> None:
    other = await many.join(probe_interval_ms=200)
    async with running_backend() as backend:
        server_id = await other.register(backend)
        await seen(here, server_id)
        backend.healthy = False
        for replica in (here, other):
            shown = await replica.eventually(
                f"/api/servers/{server_id}", lambda body: body.get("status") == "offline"
            )
            assert "unhealthy" in shown["lastError"]
