"""The worker of the examples, for real: started as its README says, before a gateway of tests."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest

from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.streams import Cut

WORKER = Path(__file__).parents[2] / "examples" / "worker" / "worker.py"
WITHIN_S = 30
TYPE = "test-processing"


@pytest.fixture
async def gateway() -> AsyncIterator[GrpcGateway]:
    async with GrpcGateway() as gateway:
        yield gateway


@pytest.fixture
async def worker(gateway: GrpcGateway) -> AsyncIterator[Process]:
    environment = {"INFERRY_ADDRESS": gateway.address, "INFERRY_TOKEN": "a token"}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, WORKER, env={**os.environ, **environment}
    )
    yield worker
    if worker.returncode is None:
        worker.kill()
        await worker.wait()


async def ended(worker: Process) -> int:
    async with asyncio.timeout(WITHIN_S):
        return await worker.wait()


async def test_it_works_with_the_model_that_its_processes_loaded(
    gateway: GrpcGateway, worker: Process
) -> None:
    outcome = await (await gateway.send(TYPE, {"steps": 2, "seconds": 0.01})).end()
    assert outcome.result["model"] == "counter"
    assert outcome.progress[-1][1] == "step 2 of 2"
    failed = await (await gateway.send(TYPE, {"steps": 0, "fail": "no steps"})).end()
    assert (failed.status, failed.error) == ("FAILED", "no steps")
    assert (await gateway.connections.get()).token == "a token"


async def test_a_signal_lets_its_work_end_and_a_worker_that_is_done_goes(
    gateway: GrpcGateway, worker: Process
) -> None:
    sent = await gateway.send(TYPE, {"steps": 2, "seconds": 0.3})
    await sent.until_under_way()
    worker.terminate()
    assert (await sent.end()).status == "COMPLETED"
    assert await ended(worker) == 0


async def test_a_second_signal_breaks_its_work_off(gateway: GrpcGateway, worker: Process) -> None:
    sent = await gateway.send(TYPE, {"steps": 2, "seconds": 0.3})
    await sent.until_under_way()
    longer = await gateway.send(TYPE, {"steps": 1, "seconds": 3_600})
    connection = gateway.connection
    assert connection is not None
    worker.terminate()
    async with asyncio.timeout(WITHIN_S):
        await connection.left.wait()
    worker.terminate()
    outcome = await longer.end()
    assert (outcome.status, outcome.loss) == ("FAILED", "INTERRUPTED")
    assert await ended(worker) == 0


async def test_its_processes_end_with_it_however_it_ends(
    gateway: GrpcGateway, worker: Process
) -> None:
    sent = await gateway.send(TYPE, {"steps": 2, "seconds": 0.2})
    await sent.until_under_way()
    children = psutil.Process(worker.pid).children()
    assert len(children) == 2
    worker.kill()
    await ended(worker)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, WITHIN_S)
    assert not alive


async def test_a_token_that_is_refused_ends_it_without_a_traceback(gateway: GrpcGateway) -> None:
    gateway.refusals.extend([Cut(grpc.StatusCode.UNAUTHENTICATED, "no such token")] * 5)
    environment = {"INFERRY_ADDRESS": gateway.address, "INFERRY_TOKEN": "a token"}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, WORKER, env={**os.environ, **environment}, stderr=PIPE
    )
    async with asyncio.timeout(WITHIN_S):
        _, said = await worker.communicate()
    refusal = "the gateway refuses this worker{}: UNAUTHENTICATED: no such token"
    assert said.decode().splitlines() == [
        refusal.format(", it tries again"),
        "the backend has ended: " + refusal.format(""),
    ]
    assert worker.returncode == 1
