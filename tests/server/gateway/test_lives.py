"""A gateway that others took over from begins anew, in the same process and on the same ports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.ports import take_ports
from inferry.server.app import lives
from inferry.server.app.gateway import Gateway
from inferry.server.app.lives import Lives
from inferry.server.config import Config
from inferry.server.store import StoreError
from inferry.v1.worker_pb2 import Assignment
from tests.backends import ACCEPTED, running_backend
from tests.gateways import SECRET, Running
from tests.model_worker import ModelWorker


@asynccontextmanager
async def living(data_dir: Path) -> AsyncIterator[tuple[Lives, Running]]:
    config = Config(data_dir=data_dir, jwt_secret=SecretStr(SECRET), port=0, grpc_port=0)
    ports = await take_ports("127.0.0.1", 0)
    host, port = ports.address
    url = f"http://{host}:{port}"
    here = Lives(config, url)
    bridge = Bridge(here.channel, BridgeConfig(port=0))
    try:
        await here.start()
        await bridge.serve(ports)
        async with aiohttp.ClientSession() as http:
            yield here, Running(here.gateway, bridge, config, url, http)
    finally:
        await bridge.stop(0.1)
        ports.close()
        await here.stop()


async def until_anew(here: Lives) -> None:
    """Waits until another gateway is there."""
    async with asyncio.timeout(20):
        await here.anew.wait()


async def test_who_lost_its_place_begins_anew_on_the_same_ports(tmp_path: Path) -> None:
    async with living(tmp_path) as (here, running), running_backend(ACCEPTED) as backend:
        await running.register(backend)
        task = await running.create()
        job = await backend.next_job()
        before, address = here.gateway, here.grpc_address
        before.lost.set()
        await until_anew(here)
        assert here.gateway.grpc_address == address
        status, _ = await backend.report(job, status="COMPLETED", result=1)
        assert status == 200
        assert (await running.task(task["id"], wait_s=5))["status"] == "COMPLETED"
        assert (await running.create())["status"] == "PENDING"
        assert (await backend.next_job())["type"] == "echo"


async def test_who_waits_for_an_end_is_told_the_task_when_the_place_is_lost(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as (here, running), running_backend(ACCEPTED):
        waiting = asyncio.ensure_future(
            running.call("POST", "/api/tasks", {"type": "echo", "async": False})
        )
        body = await running.eventually("/api/tasks", lambda body: bool(body["tasks"]))
        here.gateway.lost.set()
        status, refusal = await waiting
        assert status == 503
        assert refusal["details"]["taskId"] == body["tasks"][0]["id"]


async def test_a_worker_goes_on_with_who_begins_anew(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    async with living(tmp_path) as (here, running):
        worker = ModelWorker(here.grpc_address, work=work)
        async with worker.connected():
            task = await running.create()
            await worker.until(lambda: bool(worker.held))
            here.gateway.lost.set()
            await worker.ended()
        await until_anew(here)
        async with worker.connected():
            assert worker.welcome is not None
            assert worker.welcome.resumed
            go.set()
            done = await running.task(task["id"], wait_s=5)
            assert (done["status"], done["attempt"]) == ("COMPLETED", 1)


async def test_who_cannot_begin_anew_yet_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    start = Gateway.start

    async def refuse(gateway: Gateway) -> None:
        if not failed.is_set():
            failed.set()
            raise StoreError("the database is away")
        await start(gateway)

    async with living(tmp_path) as (here, _):
        monkeypatch.setattr(lives, "_AGAIN_S", 0.05)
        monkeypatch.setattr(Gateway, "start", refuse)
        here.gateway.lost.set()
        await failed.wait()
        await until_anew(here)


async def test_while_another_begins_in_its_place_it_is_starting(tmp_path: Path) -> None:
    async with living(tmp_path) as (here, running):
        here.channel.leave()
        status, body = await running.call("GET", "/health")
        assert (status, body["status"], body["reason"]) == (503, "unhealthy", "starting")
        here.channel.follow(here.gateway.channel)


async def test_a_gateway_that_stops_says_so_until_it_is_gone(tmp_path: Path) -> None:
    async with living(tmp_path) as (here, running):
        here.begin_stop()
        status, body = await running.call("GET", "/health")
        assert (status, body["reason"]) == (503, "stopping")
        assert await running.call("GET", "/livez") == (200, {"status": "alive"})
