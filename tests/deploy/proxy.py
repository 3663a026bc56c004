"""The proxy of ``deploy/proxy``, real, in front of real gateways."""

import asyncio
import ssl
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.deploy.ports import free_port
from tests.processes import READY_WITHIN_S, GatewayProcess

CADDYFILE = Path(__file__).parents[2] / "deploy/proxy/Caddyfile"
CADDY = Path(sysconfig.get_path("scripts")) / "caddy"
#: What its log says, in either order, when it serves with its certificate.
_READY = {b"serving initial configuration", b"certificate obtained successfully"}


@dataclass(frozen=True)
class Site:
    """Gateways behind the proxy, seen from in front of it."""

    gateways: Sequence[GatewayProcess]
    #: ``HOST:PORT`` for gRPC, with TLS.
    address: str
    #: PEM file of the authority that made its certificate.
    authority: Path
    #: Calls the proxy's REST, as an admin.
    http: aiohttp.ClientSession
    #: An admin's, good at each gateway.
    token: str

    async def call(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        """Calls REST; gives the answer, which has to be a good one."""
        async with self.http.request(verb, path, json=body) as response:
            content = await response.read()
            assert response.ok, content
            return dict(orjson.loads(content))

    async def eventually(self, path: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Reads a path until its answer is as wanted; what no event announces."""
        async with asyncio.timeout(10):
            while not wanted(await self.call("GET", path)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_proxy(
    directory: Path, port: int, gateways: Sequence[GatewayProcess], token: str
) -> AsyncIterator[Site]:
    """Runs the proxy on a port of ``localhost`` in front of gateways."""
    settings = {
        "SITE": f"localhost:{port}",
        "HTTP_PORT": str(free_port()),
        "REST_GATEWAYS": " ".join(one.rest.removeprefix("http://") for one in gateways),
        "GRPC_GATEWAYS": " ".join(one.grpc for one in gateways),
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory),
    }
    proxy = await asyncio.create_subprocess_exec(
        *(CADDY, "run", "--adapter", "caddyfile", "--config", CADDYFILE),
        env=settings,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            log = await _read_until_it_serves(proxy)
        authority = directory / "caddy/pki/authorities/local/root.crt"
        trust = ssl.create_default_context(cafile=authority)
        async with aiohttp.ClientSession(
            f"https://localhost:{port}",
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=trust),
        ) as http:
            async with asyncio.timeout(READY_WITHIN_S):
                await _until_it_shows_its_certificate(http)
            yield Site(gateways, f"localhost:{port}", authority, http, token)
        log.cancel()
    finally:
        if proxy.returncode is None:
            proxy.kill()
        await proxy.wait()


async def _read_until_it_serves(proxy: asyncio.subprocess.Process) -> asyncio.Task[None]:
    """Waits until the proxy serves; gives what reads its log from then on."""
    assert proxy.stderr is not None
    lines: list[bytes] = []
    while not all(any(word in line for line in lines) for word in _READY):
        lines.append(await proxy.stderr.readline())
        assert lines[-1], b"".join(lines).decode()
    return asyncio.create_task(_drain(proxy.stderr))


async def _until_it_shows_its_certificate(http: aiohttp.ClientSession) -> None:
    """Calls until the proxy has taken the certificate up that it says to have obtained."""
    while True:
        try:
            async with http.get("/health"):
                return
        except aiohttp.ClientConnectorSSLError:
            await asyncio.sleep(0.02)


async def _drain(log: asyncio.StreamReader) -> None:
    while await log.read(65_536):
        pass
