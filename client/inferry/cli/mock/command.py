"""The command that runs the mock backend."""

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import typer
import uvloop
from aiohttp import web

from inferry.cli.access import Access
from inferry.cli.arguments import http_url
from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import stop_signal, url_of
from inferry.cli.mock.backend import MockBackend
from inferry.cli.mock.delivery import RefusedError, call
from inferry.cli.terminal import say
from inferry.cli.tokens import local_token
from inferry.server.logs import set_up_logs


@dataclass(frozen=True, slots=True)
class Registration:
    """What the mock backend says of itself, and to whom."""

    #: REST of the gateway, without a slash at its end.
    gateway: str
    #: None for one that the data directory of a gateway on this machine gives.
    token: str | None
    name: str
    capabilities: list[str]
    max_concurrent: int


def mock(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    gateway: Annotated[
        str,
        typer.Option(parser=http_url, metavar="URL", help="REST of the gateway to register at."),
    ] = "http://127.0.0.1:8787",
    token: Annotated[
        str | None, typer.Option(help="Token to register with. Default: as for other commands.")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name at the gateway.")] = "mock",
    capabilities: Annotated[
        str, typer.Option(help="Types it takes, separated by commas; empty takes every type.")
    ] = "test-processing",
    max_concurrent: Annotated[int, typer.Option(min=1, max=10_000, help="Tasks at once.")] = 10,
) -> None:
    """Run a backend that does what the payload of a task says, for trying things out.

    It registers itself and keeps trying until the gateway is there. A payload may say
    {"seconds": 2, "steps": 4, "result": …, "end": "complete|fail|hang|crash|timeout",
    "flaky": 1, "error": …, "code": …}; any other is echoed at once.
    """
    access: Access = context.obj
    set_up_logs("auto", "info", sys.stderr)
    takes = [word.strip() for word in capabilities.split(",") if word.strip()]
    registration = Registration(gateway, token or access.token, name, takes, max_concurrent)
    try:
        uvloop.run(_run(host, port, registration))
    except RefusedError as error:
        say(f"the gateway at {gateway} refused the registration: {error}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
    except OSError as error:
        say(f"inferry mock cannot start: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None


async def _run(host: str, port: int, registration: Registration) -> None:
    stopped = stop_signal()
    async with aiohttp.ClientSession(trust_env=False) as http:
        backend = MockBackend(http, registration.capabilities, registration.max_concurrent)
        # The gateway hangs up on a synchronous task that was cancelled: the work is to stop.
        runner = web.AppRunner(backend.application(), handler_cancellation=True, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            url = url_of(*runner.addresses[0][:2])
            await _until(stopped, _register(http, url, registration))
            await stopped.wait()
        finally:
            await backend.close()
            await runner.cleanup()


async def _until(stopped: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Waits for some work, or until the process is to stop."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        await working
    else:
        working.cancel()


async def _register(http: aiohttp.ClientSession, url: str, registration: Registration) -> None:
    # A gateway that starts for the first time makes its secret first: look for it afterwards.
    await call(http, "GET", f"{registration.gateway}/health")
    token = registration.token or local_token(urlsplit(registration.gateway).hostname or "")
    answer = await call(
        http,
        "POST",
        f"{registration.gateway}/api/servers/register",
        {
            "url": url,
            "name": registration.name,
            "capabilities": registration.capabilities,
            "maxConcurrent": registration.max_concurrent,
        },
        {"Authorization": f"Bearer {token}"} if token else {},
    )
    say(f"inferry mock ready {url} id={answer['id']}")
