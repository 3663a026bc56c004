"""The proxy in front of gateways: whatever goes through it arrives, at once, both ways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from inferry.client import AsyncClient
from tests.backends import ACCEPTED, Backend
from tests.deploy.ports import free_port
from tests.deploy.proxy import Site, running_proxy
from tests.gateways import SECRET, token
from tests.processes import Running, start, start_gateway

WORKER = Path(__file__).parents[2] / "examples/worker"
#: Longer than a test: no heartbeat tells of a dead stream.
QUIET = {"INFERRY_WORKER_HEARTBEAT_MS": "60000"}


@asynccontextmanager
async def gateways_behind_it(folder: Path, count: int) -> AsyncIterator[Site]:
    """Runs the proxy in front of gateways with one secret; each has a store of its own."""
    port = free_port()
    settings = {
        "INFERRY_PUBLIC_URL": f"https://localhost:{port}",
        "INFERRY_JWT_SECRET": SECRET,
        **QUIET,
    }
    async with AsyncExitStack() as stack:
        gateways = []
        for number in range(count):
            directory = folder / f"gateway-{number}"
            directory.mkdir()
            gateways.append(await start_gateway(directory, settings=settings))
            stack.push_async_callback(gateways[-1].stop)
        yield await stack.enter_async_context(running_proxy(folder, port, gateways, token()))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway behind the proxy."""
    async with gateways_behind_it(tmp_path, 1) as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Site]:
    """Two gateways behind the proxy."""
    async with gateways_behind_it(tmp_path, 2) as running:
        yield running


@pytest.fixture
async def accepting(site: Site, backend: Backend) -> Backend:
    """A backend that reports by callbacks, registered through the proxy."""
    backend.answer = ACCEPTED
    said = {"url": backend.url, "name": "backend", "capabilities": ["echo"]}
    await site.call("POST", "/api/servers/register", said)
    return backend


@pytest.fixture
async def worker(site: Site, tmp_path: Path) -> AsyncIterator[Running]:
    """A worker that dials in through the proxy, with TLS."""
    settings = {
        "INFERRY_ADDRESS": site.address,
        "INFERRY_TOKEN": site.token,
        "PYTHONPATH": str(WORKER),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(site.authority),
    }
    log = tmp_path / "worker.log"
    running = await start(log, "worker", "worker:app", "--tls", settings=settings)
    try:
        yield running
    finally:
        await running.kill()


async def report(site: Site, url: str, **update: object) -> None:
    """Calls back where the gateway said."""
    async with site.http.put(url, json=update) as response:
        assert response.status == 200, await response.text()


async def next_event(stream: aiohttp.StreamReader) -> dict[str, object]:
    """Reads an event from a stream of server-sent events."""
    async with asyncio.timeout(10):
        async for line in stream:
            if line.startswith(b"data:"):
                return dict(orjson.loads(line[5:]))
    raise AssertionError("the stream ended")


async def test_a_task_and_its_callbacks_go_through_the_proxy(
    site: Site, accepting: Backend
) -> None:
    task = await site.call("POST", "/api/tasks", {"type": "echo"})
    url = (await accepting.next_job())["callback_url"]
    assert url.startswith(f"https://{site.address}/api/tasks/")
    await report(site, url, status="PROCESSING", progress=50)
    waiting = asyncio.create_task(site.call("GET", f"/api/tasks/{task['id']}?wait=20"))
    await report(site, url, status="COMPLETED", result={"n": 1})
    assert (await waiting)["result"] == {"n": 1}


async def test_server_sent_events_come_as_they_happen(site: Site, accepting: Backend) -> None:
    task = await site.call("POST", "/api/tasks", {"type": "echo"})
    url = (await accepting.next_job())["callback_url"]
    async with site.http.get(f"/api/tasks/{task['id']}/events") as stream:
        while (await next_event(stream.content))["kind"] != "ACCEPTED":
            pass
        for progress in (10, 20):
            await report(site, url, status="PROCESSING", progress=progress)
            assert (await next_event(stream.content))["progress"] == progress
        await report(site, url, status="COMPLETED", result=1)
        assert (await next_event(stream.content))["status"] == "COMPLETED"


async def test_a_grpc_stream_comes_as_it_happens(site: Site, accepting: Backend) -> None:
    async with AsyncClient(site.address, site.token, tls=str(site.authority)) as client:
        task = await client.submit("echo", {})
        url = (await accepting.next_job())["callback_url"]
        seen = []
        async for event in task.events():
            seen.append(event.progress)
            if event.kind == "ACCEPTED":
                await report(site, url, status="PROCESSING", progress=10)
            elif event.progress == 10:
                await report(site, url, status="COMPLETED", result=1)
        assert await task.result() == 1
        assert 10 in seen


async def test_a_worker_gets_its_work_through_the_proxy(site: Site, worker: Running) -> None:
    async with AsyncClient(site.address, site.token, tls=str(site.authority)) as client:
        done = await client.run("test-processing", {"steps": 2, "seconds": 0})
    assert done["steps"] == 2


async def test_the_end_of_a_workers_stream_is_seen_through_the_proxy(
    site: Site, worker: Running
) -> None:
    path = f"/api/servers/{worker.words[3].removeprefix('id=')}"
    await site.eventually(path, lambda server: server["connection"] == "connected")
    await worker.kill()
    await site.eventually(path, lambda server: server["connection"] != "connected")


@pytest.mark.parametrize("death", ["kill", "stop"])
async def test_a_call_waits_for_a_gateway_that_starts_again(site: Site, death: str) -> None:
    (gateway,) = site.gateways
    await getattr(gateway, death)()
    calls = [
        asyncio.create_task(site.call("POST", "/api/tasks", {"type": "echo"})),
        asyncio.create_task(_submit(site)),
    ]
    await gateway.restart()
    first, second = await asyncio.gather(*calls)
    assert first["status"] == second["status"] == "PENDING"


@pytest.mark.parametrize("death", ["kill", "stop"])
async def test_calls_go_to_another_gateway_when_one_has_gone(pair: Site, death: str) -> None:
    await getattr(pair.gateways[0], death)()
    # More than one, so that each of the two would have had some.
    for _ in range(4):
        assert (await pair.call("POST", "/api/tasks", {"type": "echo"}))["status"] == "PENDING"
        assert (await _submit(pair))["status"] == "PENDING"
    listed = await pair.call("GET", "/api/tasks")
    assert len(listed["tasks"]) == 8


async def _submit(site: Site) -> dict[str, object]:
    """Creates a task over gRPC, in one try of the client."""
    client = AsyncClient(site.address, site.token, tls=str(site.authority), retries=0)
    async with client:
        task = await client.submit("echo", {})
        return {"status": (await task.get()).status}
