"""Several gateways on one PostgreSQL, in this process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.ports import take_ports
from inferry.server.app.lives import Lives
from inferry.server.config import Config
from tests.gateways import SECRET, Running

#: Short, so that a test that waits for the end of one is not long.
LEASE_MS = 2_000


class Replica(Running):
    """One of them."""

    lives: Lives

    @property
    def number(self) -> int:
        """Its epoch."""
        return self.lives.gateway._store.epoch.number

    def own(self) -> set[str]:
        """The servers that it gives tasks."""
        return {one.record.id for one in self.lives.gateway._memory.fleet.own_ones}


class Crowd:
    """Starts them on one database; what still runs stops at the end."""

    def __init__(self, stack: AsyncExitStack, url: str, folder: Path) -> None:
        self._stack = stack
        self._url = url
        self._folder = folder
        self._count = 0

    async def join(self, **settings: Any) -> Replica:
        """Starts one more."""
        return (await self.start(**settings))[0]

    async def start(self, **settings: Any) -> tuple[Replica, AsyncExitStack]:
        """Starts one more; closing its stack stops it."""
        self._count += 1
        stack = AsyncExitStack()
        replica = await stack.enter_async_context(
            _running(self._url, self._folder / str(self._count), **settings)
        )
        await self._stack.enter_async_context(stack)
        return replica, stack


@asynccontextmanager
async def crowd(url: str, folder: Path) -> AsyncIterator[Crowd]:
    """Has a crowd for a while."""
    async with AsyncExitStack() as stack:
        yield Crowd(stack, url, folder)


@asynccontextmanager
async def _running(store: str, folder: Path, **settings: Any) -> AsyncIterator[Replica]:
    given = {
        "port": 0,
        "grpc_port": 0,
        "shutdown_grace_ms": 2_000,
        "replica_lease_ms": LEASE_MS,
        **settings,
    }
    config = Config(data_dir=folder, jwt_secret=SecretStr(SECRET), store=SecretStr(store), **given)
    ports = await take_ports("127.0.0.1", 0)
    host, port = ports.address
    url = f"http://{host}:{port}"
    lives = Lives(config, url)
    bridge = Bridge(lives.channel, BridgeConfig(port=0))
    try:
        await lives.start()
        await bridge.serve(ports)
        async with aiohttp.ClientSession() as http:
            replica = Replica(lives.gateway, bridge, config, url, http)
            replica.lives = lives
            yield replica
    finally:
        lives.begin_stop()
        await bridge.stop(0.1)
        ports.close()
        await lives.stop()
