"""A backend as an ASGI application, under uvicorn and by hand."""

import asyncio
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from inferry.backend import SetupError
from inferry.backend.http import asgi
from inferry.backend.http.asgi import AsgiApp
from inferry.backend.testing.http import HttpGateway
from tests.backend import handlers
from tests.backend.rigs import TYPE, WITHIN_S, backend


@pytest.fixture
async def gateway() -> AsyncIterator[HttpGateway]:
    async with HttpGateway() as gateway:
        yield gateway


@asynccontextmanager
async def served(app: AsgiApp, listener: socket.socket) -> AsyncIterator[uvicorn.Server]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


async def test_it_registers_works_and_deregisters_with_its_server(
    gateway: HttpGateway, tmp_path: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = asgi(backend("loop"), gateway=gateway.url, token="t", url=url)
    gate = tmp_path / "gate"
    async with served(app, listener) as server:
        async with asyncio.timeout(WITHIN_S):
            await gateway.registered.get()
        assert (await (await gateway.send(TYPE, {"result": 1})).end()).result == 1
        sent = await gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
        await sent.until_under_way()
        server.should_exit = True
        async with asyncio.timeout(WITHIN_S):
            await gateway.deregistered.get()
        gate.touch()
        assert (await sent.end()).result == "there"


async def test_hanging_up_stops_the_work() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with served(asgi(backend("loop")), listener), aiohttp.ClientSession(url) as http:
        await until_active(http, 0)
        job = {"id": "task_1", "type": TYPE, "payload": {"do": "block"}, "timeout": 90_000}
        calling = asyncio.create_task(http.post("/process", json=job))
        await until_active(http, 1)
        calling.cancel()
        await until_active(http, 0)


async def until_active(http: aiohttp.ClientSession, count: int) -> None:
    """Looks until it is ready and so many run."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with http.get("/health") as answer:
                health = await answer.json()
            if answer.status == 200 and health["load"]["active_tasks"] == count:
                return
            await asyncio.sleep(0.01)


async def test_a_body_that_is_too_large_is_refused() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with served(asgi(backend("loop")), listener), aiohttp.ClientSession(url) as http:
        async with http.post("/process", data=BytesIO(b"x" * 1_000_000)) as small:
            assert small.status == 400
        async with http.post("/process", data=BytesIO(b"x" * 2_000_000)) as large:
            assert large.status == 413


async def test_a_setup_that_fails_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    failing = backend("loop")
    failing.setup(handlers.setup_that_fails)
    app = asgi(failing)
    said: list[Any] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message.get("type") if "status" not in message else message["status"])

    async def ask() -> dict[str, Any]:
        return {"type": "http.request"}

    async def live() -> dict[str, Any]:
        if said:
            with suppress(SetupError):
                await asyncio.to_thread(app._server.wait, WITHIN_S)
            await app({"type": "http", "method": "GET", "path": "/health"}, ask, send)
        return {"type": "lifespan"}

    await app({"type": "lifespan"}, live, send)
    assert said == [
        "lifespan.startup.complete",
        503,
        "http.response.body",
        "lifespan.shutdown.failed",
    ]
    assert "no such model" in caplog.text


async def test_a_gateway_that_refuses_is_told_in_one_line_and_to_whoever_asked(
    gateway: HttpGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.registrations.append(403)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    refused: asyncio.Queue[str] = asyncio.Queue()
    app = asgi(
        backend("loop"), gateway=gateway.url, token="t", url=url, on_refused=refused.put_nowait
    )
    async with served(app, listener):
        async with asyncio.timeout(WITHIN_S):
            why = await refused.get()
    assert why.startswith("403 ")
    (said,) = caplog.records
    assert (said.getMessage(), said.exc_info) == (f"the backend has ended: {why}", None)


def test_a_gateway_has_to_know_where_it_is_reached() -> None:
    with pytest.raises(ValueError, match="url: a gateway has to know"):
        asgi(backend("loop"), gateway="http://gateway")
